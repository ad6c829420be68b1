"""Sphinx's settings for the course as a web book that opens from disk and asks no host.

Formulas become MathML while the book is built, so they show without a script and without a network.
"""

import re

from docutils import nodes
from latex2mathml.converter import convert

project = "Multi-Flow, step by step"
copyright = "2026, The Multi-Flow, step by step authors. Text: CC BY 4.0. Code: MIT"
extensions = ["myst_nb"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_copy_source = False
html_extra_path = ["extra"]  # pages that are finished
html_show_search_summary = False  # it would fetch pages, which a browser refuses from disk
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks bring their outputs
nb_ipywidgets_js = {}  # widgets show their pictures; the scripts would come from a host
nb_merge_streams = True
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]
THIN = '<mspace width="0.17em" />'
NAMED = r"<mi>(log|exp|det|arctan)</mi>(?=<m(i|n|sub|sup)>)"  # a function, and its argument at once
BAR = r"<mo[^>]*>&#x0007C;</mo>"  # of an absolute value: no space on either side


def _mathml(writer, node: nodes.math | nodes.math_block) -> None:
    block = isinstance(node, nodes.math_block)
    formula = convert(node.astext(), display="block" if block else "inline")
    formula = re.sub(NAMED, r"\g<0>" + THIN, formula)
    formula = re.sub(BAR, r'<mo stretchy="false" lspace="0" rspace="0">&#x0007C;</mo>', formula)
    writer.body.append(f'<div class="formula">{formula}</div>' if block else formula)
    raise nodes.SkipNode


def setup(app) -> None:
    """Sphinx calls this: it names the way in which formulas are written."""
    app.add_html_math_renderer("mathml", (_mathml, None), (_mathml, None))
