"""The guide's settings for Sphinx: `make docs` builds it into site/, strictly and without a network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "dfmvr"
author = "The dfmvr developers"
copyright = "the dfmvr developers, Apache-2.0"

extensions = [
    *("myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"),
    *("access", "api", "code_links", "commands", "docstrings", "notebooks"),  # of docs/extensions
]
exclude_patterns = ["extensions", "study"]
# The pages' links to code (`code_links`) must lead somewhere. Types in signatures need not: those of libraries are not
# looked up, which takes a network, and private ones have no place.
nitpick_ignore_regex = [("py:(?!obj|mod).*", ".*"), ("py:obj", r"(?!dfmvr\.).*")]
highlight_language = "none"
smartquotes = False  # `...` is a part of shapes

html_theme = "furo"
html_title = "dfmvr"
html_copy_source = False
html_domain_indices = False
html_show_sphinx = False

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

add_module_names = False
autodoc_member_order = "bysource"
autodoc_mock_imports = ["pytorch3d"]
autodoc_typehints_format = "short"
default_role = "literal"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
