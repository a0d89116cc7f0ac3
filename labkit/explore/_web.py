"""What the browser runs: the ES modules of ``web/``, joined into the one text that a notebook takes."""

import re
from pathlib import Path

WEB = Path(__file__).with_name("web")
STYLE = (WEB / "explorer.css").read_text(encoding="utf-8")
_IMPORT = re.compile(r'^import \{ [\w, ]+ \} from "\./(\w+)\.js";\n', re.M)
_EXPORT = re.compile(r"^export (?=class |function |const )", re.M)


def script() -> str:
    """``web/main.js`` after all that it imports, each file once and after what it imports itself.

    The files share one scope then, so no two of them may give the same name to something at their top level.
    """
    joined: dict[str, str] = {}

    def join(name: str) -> None:
        text = (WEB / f"{name}.js").read_text(encoding="utf-8")
        for imported in _IMPORT.findall(text):
            if imported not in joined:
                join(imported)
        joined[name] = _EXPORT.sub("", _IMPORT.sub("", text))

    join("main")
    return "\n".join(joined.values())


SCRIPT = script()
