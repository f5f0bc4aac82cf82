"""What gunicorn serves: gunicorn -c gunicorn.conf.py wsgi:app."""

from gevent import monkey

monkey.patch_all()

from dotenv import load_dotenv  # noqa: E402  (patch first, import later)

load_dotenv(".env")

from oneapi import config, create_app, logs  # noqa: E402

settings = config.load()
logs.init(settings)
app = create_app(settings)
