"""What gunicorn serves: gunicorn -c gunicorn.conf.py wsgi:app."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402  (patch first, import later)

from dotenv import load_dotenv  # noqa: E402

load_dotenv(".env")

from oneapi import cli, config, create_app, logs  # noqa: E402
from oneapi.db import Unfit  # noqa: E402
from oneapi.fields import Invalid  # noqa: E402

try:
    settings = config.load()
    if cli.wanted():  # flask --app wsgi db-check must not upgrade by being loaded
        app = cli.create_app(settings)
    else:
        logs.init(settings)
        app = create_app(settings)
except (Invalid, Unfit) as error:
    print(str(error), file=sys.stderr)
    sys.exit(3)  # gunicorn stops at 3; at any other number it starts the worker again for ever
