"""Configuration of Sphinx. Everything is built offline, every warning is an error."""

import inspect
import os
import re
import sys
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from docutils import nodes
from docutils.utils.math import latex2mathml
from inventories import make_inventories

import sk_autoencoder
from sk_autoencoder._protocols import Network

# ------------------------------------------------------------------------ project

project = "sk_autoencoder"
author = "The sk_autoencoder developers"
copyright = f"2026, {author}"
version = release = sk_autoencoder.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
# docs/examples holds the gallery's sources; its pages are built to auto_examples.
exclude_patterns = ["_build", "examples", "static", "templates"]
templates_path = ["templates"]
default_role = "literal"

# Links into the documentation of other projects, code of the gallery included.
intersphinx_mapping = make_inventories(HERE / "_build" / "inventories")

# --------------------------------------------------------------------------- HTML

html_theme = "pydata_sphinx_theme"
html_title = f"sk_autoencoder {release}"
html_static_path = ["static"]
html_css_files = ["custom.css"]
html_logo = html_favicon = "static/logo.svg"
html_theme_options = {
    "logo": {"text": "sk_autoencoder", "alt_text": "sk_autoencoder"},
    "navbar_end": ["theme-switcher"],
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
if "dev" in release:
    html_theme_options["announcement"] = (
        f"This documents version {release}, which is in development."
    )
html_show_sourcelink = False
# "truncate()", not with its class: that is wider than the column.
toc_object_entries_show_parents = "hide"
# Pages without any below or beside them have nothing to show in the sidebar.
html_sidebars = {
    page: [] for page in ("comparison", "benchmarks", "how_it_works", "faq", "glossary")
}

# Where an address is configured: a choice of versions, and what other sites show of a
# link to a page. `versions.json` there lists the versions, as the theme wants it.
html_baseurl = os.environ.get("SK_AUTOENCODER_DOCS_URL", "")
if html_baseurl:
    html_theme_options["check_switcher"] = False
    html_theme_options["switcher"] = {
        "json_url": f"{html_baseurl}/versions.json",
        "version_match": release,
    }
    html_theme_options["navbar_end"].insert(0, "version-switcher")


TAG = re.compile(r"<[^>]+>")


def describe_page(app, pagename, templatename, context, doctree):
    """Add OpenGraph's description of a page."""
    context.setdefault("metatags", "")
    found = {
        "title": context.get("title", project),
        "type": "website",
        "url": f"{html_baseurl}/{pagename}.html",
        "image": f"{html_baseurl}/_images/digits.png",
    }
    for key, value in found.items():
        text = escape(TAG.sub("", value))
        context["metatags"] += f'<meta property="og:{key}" content="{text}" />'


# Prompts and output are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# ---------------------------------------------------------------------------- API

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # the docstrings tell the types, and more than that
autodoc_default_options = {"member-order": "bysource"}
numpydoc_show_class_members = False  # docs/templates/class.rst lists them

HOOKS = {name for name in vars(Network) if not name.startswith("_")}


QUOTED = re.compile(r"^\.\. from: (.+)$", re.MULTILINE)
RESULTS = HERE.parent / "benchmarks" / "results"


def tell_sources(app, docname, source):
    """Add how the figures that a page quotes were measured, as their files say."""
    names = dict.fromkeys(" ".join(QUOTED.findall(source[0])).split())
    if names:
        source[0] += "\n\n.. rubric:: How the figures on this page were measured\n\n"
    for name in names:
        command = (RESULTS / name).read_text("utf-8").splitlines()[0]
        source[0] += f"- {command}\n"


def skip_foreign(app, what, name, obj, skip, options):
    """Leave out what users of a class do not call.

    These are the methods of scikit-learn and Python, whose own pages tell them, and the
    hooks through which an estimator builds a network.
    """
    if what != "class" or not (inspect.isroutine(obj) or callable(obj)):
        return None
    module = getattr(obj, "__module__", None) or ""
    if module.startswith("sk_autoencoder.networks") and name in HOOKS:
        return True
    return None if module.startswith("sk_autoencoder") else True


# ----------------------------------------------------------------------- formulas


def write_formula(self, node):
    """Write a formula as MathML, which needs no script from elsewhere."""
    is_block = isinstance(node, nodes.math_block)
    formula = latex2mathml.tex2mathml(node.astext(), as_block=is_block)
    self.body.append(f'<div class="formula">{formula}</div>' if is_block else formula)
    raise nodes.SkipNode


html_math_renderer = "mathml"


def setup(app):
    if html_baseurl:
        app.connect("html-page-context", describe_page)
    formula = (write_formula, None)
    app.add_html_math_renderer("mathml", formula, formula)
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("include-read", link_to_pages)
    app.connect("source-read", tell_sources)


# ----------------------------------------------------------------------- Markdown

myst_heading_anchors = 3

# CHANGELOG.md and CONTRIBUTING.md link to files of the repository. Some have a page
# here; of the others the name is left.
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
FILE_LINK = re.compile(r"\[([^]]+)\]\(((?:[a-z]+/)?[A-Z_]+\.md)\)")


def link_to_pages(app, relative_path, parent_docname, content):
    """Link to this documentation's pages in the place of the repository's files."""

    def replaced(match):
        text, file = match.groups()
        return f"[{text}]({PAGES[file]})" if file in PAGES else f"`{file}`"

    content[0] = FILE_LINK.sub(replaced, content[0])


# ------------------------------------------------------------------------ gallery

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "subsection_order": [
        f"examples/{folder}"
        for folder in ("reduce", "tables", "outliers", "images", "training")
    ],
    "within_subsection_order": "FileNameSortKey",
    "reset_modules": ("matplotlib", "gallery_style.set_letters"),
    "thumbnail_size": (800, 560),  # these begin pages of the guide, too
    "abort_on_example_error": True,
    "doc_module": ("sk_autoencoder",),
    "backreferences_dir": "generated/backreferences",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "matplotlib_animations": False,
}
