"""What is installed, and the public names."""
import pathlib
import re
import unittest

import timesliced

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Package(unittest.TestCase):
    def test_pyproject_lists_all_packages(self):
        text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        listed = re.findall(r'"([\w.]+)"', re.search(r"^packages = \[([^\]]*)\]", text, re.M)[1])
        found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "timesliced").rglob("__init__.py")}
        self.assertEqual(sorted(listed), sorted(found))

    def test_public_names(self):
        for name in timesliced.__all__:
            self.assertTrue(isinstance(getattr(timesliced, name), type), name)
        with self.assertRaises(AttributeError):
            timesliced.no_such_name


if __name__ == "__main__":
    unittest.main()
