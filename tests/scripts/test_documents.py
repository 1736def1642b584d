"""The documents name files that exist: paths in code spans and links."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = "bench config ctl daemon debian docs lib python script systemd tests".split()
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "tests/faults/README.md"]
PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*\w(?:/(?=[^\w]))?")


class Paths(unittest.TestCase):
    def test_code_spans(self):
        found = 0
        for document in DOCUMENTS:
            # Those that stand alone; "script/bench history" is a command, and the first word of it a path.
            for span in re.findall(r"`([^`\n]+)`", document.read_text(encoding="utf-8")):
                path = span.split()[0]
                if not PATH.fullmatch(path) or "NAME" in path:
                    continue
                found += 1
                with self.subTest(document=document.name, path=path):
                    self.assertTrue((ROOT / path).exists())
        self.assertGreater(found, 50)

    def test_links(self):
        for document in DOCUMENTS:
            for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
                if re.match(r"https?:", link):
                    continue
                with self.subTest(document=document.name, link=link):
                    self.assertTrue((document.parent / link).exists())


if __name__ == "__main__":
    unittest.main()
