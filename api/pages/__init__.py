"""Pages for people: counter, volunteer, station, office, honours, what-if, audit. Server-rendered with Jinja.

A page is a client of the API: it reads and writes through the addresses under /v1, within this process, with the key of
its reader (`ledger_client.py`). So there is no second way to a fact, and no role of its own. What anybody may see are
the public figures alone (`public_figures.py`).

    application.py      puts the pages and their files into the application
    sessions.py         the cookie that carries a key, and the refusal of requests from other sites
    page_routes.py      routes whose errors are pages
    rendering.py        templates; languages.py, formats.py, words.py, refusals.py: what they write in both languages
    assets.py           files: scripts, styles, icons
    routes/, charts/    the pages; charts as SVG with the numbers beside them

Every script and style is a file of this package (`static/`); nothing is loaded from elsewhere, and nothing is inline,
because the policy forbids it.
"""
