"""python -m timesliced run | send | plot."""
import sys

from timesliced.commands.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
