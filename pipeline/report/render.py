"""The page from its parts: template, style and scripts become one file that needs nothing else."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from pipeline.report.content import Content

FOLDER = Path(__file__).parent / "page"
SCRIPTS = (
    "philox.js",
    "synthesis_network.js",
    "handwriting_sampling.js",
    "pen_stage.js",
    "lines.js",
    "live.js",
    "gallery.js",
    "curves.js",
    "tables.js",
    "page.js",
)
LINE_CHARACTERS = (
    40  # the most that text typed into the page has on a line, as in `rnngen write`; fewer where it is narrow
)


def render(content: Content, about: dict[str, Any]) -> str:
    """The page; `about` is the provenance of the page itself."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"fixed": fixed, "printed": printed, "signed": signed, "seconds": seconds, "shaded": shaded}
    style, plots, script = _read("vendor/uPlot.css") + _read("style.css"), _read("vendor/uPlot.js"), one_script()
    return environment.get_template("page.html.j2").render(
        content=content,
        about=about,
        policy=Markup(security_policy([style], [plots, script])),
        style=Markup(style),
        plots=Markup(plots),
        script=Markup(script),
        data=Markup(embedded_json(data_of(content))),
    )


def data_of(content: Content) -> dict[str, Any]:
    """What the scripts read."""
    return {
        "network": content.network,
        "model": content.model,
        "corpus": content.corpus,
        "lineWidth": LINE_CHARACTERS,
        "primes": content.primes if content.network else [],
        "groups": content.groups,
        "biased": content.biased,
        "tables": {table["name"]: table["csv"] for table in content.tables},
        "curves": {e.name: e.curves for e in content.experiments if e.curves},
    }


def security_policy(styles: list[str], scripts: list[str]) -> str:
    """What a browser may do with the page: run these scripts, apply these styles, show embedded pictures; no more.

    Scripts and styles are named by the SHA-256 of their text. Attributes `style`, which shade the texts, run nothing.
    """

    def named(texts: list[str]) -> str:
        hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in texts)
        return " ".join(f"'sha256-{value}'" for value in hashes)

    return (
        f"default-src 'none'; script-src {named(scripts)}; style-src {named(styles)}; style-src-attr 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def embedded_json(value: Any) -> str:
    """JSON that may stand in a <script>: no < that could end it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def one_script() -> str:
    """The modules one after the other: within one script their imports from each other are not needed.

    Names at the top level of the modules are all different, and every import or export stands on a line of its own.
    """
    parts = []
    for name in SCRIPTS:
        text = re.sub(r'^import \{[^}]*\} from "\./[a-z_]+\.js";\n', "", _read(name), flags=re.MULTILINE)
        parts.append(re.sub(r"^export ", "", text, flags=re.MULTILINE))
    return "\n".join(parts)


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


# --- filters ---------------------------------------------------------------------------------------------------------


def fixed(value: float | None, digits: int) -> str:
    """A number with so many digits; a dash where there is none. The minus is a minus."""
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def printed(value: object) -> str:
    """A number of the paper with the digits it prints; a dash where it prints none. The minus is a minus."""
    return "–" if value is None else str(value).replace("-", "−")


def signed(value: float | None, digits: int) -> str:
    """The same with its sign."""
    return "–" if value is None else f"{value:+,.{digits}f}".replace("-", "−")


def seconds(value: float | None) -> str:
    """A duration as people say it."""
    if value is None:
        return "–"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{value:.1f} s"


def shaded(scored: dict[str, Any]) -> Markup:
    """Symbols, each with its bits as a style property that the style sheet turns into a shade."""
    template = Markup('<i style="--b:{:g}">{}</i>')
    space = " " if scored["words"] else ""
    return Markup("").join(
        template.format(bits, (symbol or "") + space)
        for symbol, bits in zip(scored["symbols"], scored["bits"], strict=True)
    )
