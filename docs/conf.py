"""Sphinx: Markdown pages and the docstrings of mmeff, without a network."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]

import mmeff  # noqa: E402

project = 'mmeff'
author = 'the mmeff authors'
release = version = mmeff.__version__

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx_copybutton',
    'linked_files',
]
exclude_patterns = ['_build', 'results']
root_doc = 'index'
nitpicky = True
# What belongs to other packages cannot be looked up without a network.
nitpick_ignore_regex = [('py:.*', r'(?!mmeff\b).*')]

myst_heading_anchors = 4
myst_enable_extensions = ['colon_fence']

default_role = 'code'  # docstrings here write names in single backticks
autodoc_member_order = 'bysource'
autodoc_inherit_docstrings = False  # what torch says of its own methods stays there
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
napoleon_google_docstring = True
napoleon_numpy_docstring = False
copybutton_exclude = '.linenos, .gp, .go'

html_theme = 'furo'
html_title = 'mmeff'
html_static_path = ['_static']
html_css_files = ['site.css']
html_copy_source = False
html_show_sphinx = html_show_copyright = False
# Letters that every system has: the pages load nothing from elsewhere.
html_theme_options = {
    'light_css_variables': {'font-stack': 'system-ui, sans-serif'},
    'dark_css_variables': {'font-stack': 'system-ui, sans-serif'},
}
