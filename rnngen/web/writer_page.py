"""The writer as a page of its own: one file with network, styles and scripts, for a disk or a web server."""

from collections.abc import Sequence

from markupsafe import Markup

import rnngen
from rnngen.errors import InputError
from rnngen.ink.layout import LINE_CHARACTERS
from rnngen.models.handwriting_model import HandwritingModel, Prime
from rnngen.web.embedding import network_json, prime_json
from rnngen.web.one_file import FOLDER, embed_json, one_script, security_policy, template_environment

NETWORK_SCRIPTS = tuple(
    FOLDER / name
    for name in (
        "philox.js",
        "synthesis_network.js",
        "kernels.js",
        "fast_network.js",
        "handwriting_sampling.js",
        "alignment.js",
        "lines.js",
    )
)
WRITER_SCRIPTS = (*NETWORK_SCRIPTS, *(FOLDER / name for name in ("pen_stage.js", "live.js", "chrome.js")))


def worker_script() -> str:
    """What the page's worker runs: the network alone, without the page."""
    return one_script([*NETWORK_SCRIPTS, FOLDER / "worker.js"])


def render_writer(model: HandwritingModel, name: str, styles: Sequence[Prime] = (), corpus: str = "") -> str:
    """The page, in which `model` writes; `styles` can be chosen in it.

    The commands that the page shows call the model `name`, "" for that of the package, and the file of the styles
    `corpus`. Raises InputError for a prediction network.
    """
    if model.alphabet is None:
        raise InputError(f"{name}: a prediction network writes no text; give a synthesis network")
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    script = one_script([*WRITER_SCRIPTS, FOLDER / "alone.js"])
    data = {
        "network": network_json(model),
        "model": name,
        "corpus": corpus,
        "worker": worker_script(),
        "lineWidth": LINE_CHARACTERS,
        "primes": [prime_json(prime) for prime in styles],
    }
    return (
        template_environment()
        .get_template("alone.html.j2")
        .render(
            version=rnngen.__version__,
            weights=sum(parameter.numel() for parameter in model.network.parameters()),
            trained_on=None,
            policy=Markup(security_policy([style], [script])),
            style=Markup(style),
            script=Markup(script),
            data=Markup(embed_json(data)),
        )
    )
