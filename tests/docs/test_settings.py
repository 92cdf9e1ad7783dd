"""The page of settings names the keys of the schema, all of them and no other."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
SCHEMA = yaml.safe_load((ROOT / "workflow" / "config.schema.yaml").read_text(encoding="utf-8"))
NAMES = {"experiments": "NAME", "sweeps": "NAME", "regularisations": "ROW"}


def keys_of(schema: dict, path: tuple[str, ...] = ()) -> set[str]:
    """The keys that hold values, `a.b.c`; names of the user's own choice as the page writes them."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    below = dict(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        below[NAMES[path[-1]]] = schema["additionalProperties"]
    if not below:
        return {".".join(path)}
    return set().union(*(keys_of(part, (*path, key)) for key, part in below.items()))


def test_the_page_names_every_key():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    found = {name.replace("…", "experiments.NAME.regularisations.ROW.training") for name in named}
    assert found == keys_of(SCHEMA)
    assert len(named) == len(found)
