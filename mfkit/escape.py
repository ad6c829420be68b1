"""Words from data on their way out: one function for each place where a letter could act.

Names of files, codes of defects and messages about them were written by whoever made the data. What
shows them takes some letters for orders: a browser runs `<script>`, a terminal obeys ESC, a
spreadsheet computes `=1+1`, figures read `$...$` as a formula. Each function here gives a text that
its reader shows as it is.
"""

import html as _html
import re

__all__ = ["cell", "html", "latex", "markdown", "mathtext", "terminal"]

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def terminal(text: object) -> str:
    r"""What cannot be printed is written as Python writes it; lines stay lines.

    Control characters go, marks that reverse the direction of writing, and halves of surrogates,
    which no encoding knows.

    Example:
        >>> terminal("plug\x1b[2J\ud800")
        'plug\\x1b[2J\\ud800'
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter == "\n" else _written(letter) for letter in text
    )


def html(text: object) -> str:
    """For a page or a widget, also inside an attribute.

    Example:
        >>> html("<b>")
        '&lt;b&gt;'
    """
    return _html.escape(terminal(text))


def cell(text: object) -> str:
    """For a cell of a CSV file: an apostrophe before what a spreadsheet would compute.

    Example:
        >>> cell("=1+1"), cell("gears_0001")
        ("'=1+1", 'gears_0001')
    """
    text = _line(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def markdown(text: object) -> str:
    r"""For a line or a cell of a table in Markdown.

    Example:
        >>> markdown("a|b")
        'a\\|b'
    """
    return re.sub(r"([\\`*\[\]<>|&~$])", r"\\\1", _line(text))


def latex(text: object) -> str:
    r"""For text and tables in LaTeX.

    Example:
        >>> latex("a_b & c")
        'a\\_b \\& c'
    """
    return "".join(_LATEX.get(letter, letter) for letter in _line(text))


def mathtext(text: object) -> str:
    r"""For a text in a figure of matplotlib; lines stay lines.

    Example:
        >>> mathtext("5 $ or $ 6")
        '5 \\$ or \\$ 6'
    """
    return terminal(text).replace("$", r"\$")


def _line(text: object) -> str:
    """As for a terminal, in one line."""
    return terminal(text).replace("\n", r"\n")


def _written(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
