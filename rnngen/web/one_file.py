"""A page as one file: styles, scripts and data in it, and a policy that lets it do nothing else."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

FOLDER = Path(__file__).parent / "page"


def template_environment(*folders: Path) -> jinja2.Environment:
    """Templates of these folders and of the library's own; what is put in is escaped, a missing name is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, FOLDER]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def security_policy(styles: list[str], scripts: list[str]) -> str:
    """What a browser may do with the page: run these scripts, apply these styles, show embedded pictures; no more.

    Scripts and styles are named by the SHA-256 of their text. Attributes `style`, which shade the texts, run nothing;
    'wasm-unsafe-eval' lets the scripts compile WebAssembly that they contain.
    """

    def name_hashes(texts: list[str]) -> str:
        hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in texts)
        return " ".join(f"'sha256-{value}'" for value in hashes)

    return (
        f"default-src 'none'; script-src {name_hashes(scripts)} 'wasm-unsafe-eval'; worker-src blob:; "
        f"style-src {name_hashes(styles)}; style-src-attr 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def embed_json(value: Any) -> str:
    """JSON that may stand in a <script>: no < that could end it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def one_script(scripts: Sequence[Path]) -> str:
    """The modules one after the other: within one script their imports from each other are not needed.

    Names at the top level of the modules are all different, and every import or export stands on a line of its own.
    """
    parts = []
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        text = re.sub(r'^import \{[^}]*\} from "\.[a-z_./]+\.js";\n', "", text, flags=re.MULTILINE)
        parts.append(re.sub(r"^export ", "", text, flags=re.MULTILINE))
    return "\n".join(parts)
