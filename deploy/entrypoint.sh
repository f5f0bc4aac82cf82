#!/bin/sh
# Start the server in the image, with the flags that the image of the old project took: --port and --log-dir.
# Anything that is not a flag is run as it is: docker run IMAGE flask --app wsgi db-check
set -e
port= log_dir=
while [ $# -gt 0 ]; do
    case "$1" in
        --port=* | -port=*) port=${1#*=}; shift ;;
        --log-dir=* | -log-dir=*) log_dir=${1#*=}; shift ;;
        --port | -port) port=${2:?--port needs a number}; shift 2 ;;
        --log-dir | -log-dir) log_dir=${2:?--log-dir needs a folder}; shift 2 ;;
        -*) exec python app.py "$@" ;; # --version, --help, and what nobody knows
        *) exec "$@" ;;
    esac
done
export PORT="${PORT:-${port:-3000}}" # as in app.py, the variable beats the flag
[ -z "$log_dir" ] || export LOG_DIR="$log_dir"
echo "$PORT" > "${PORT_FILE:-/tmp/one-api.port}" # for HEALTHCHECK, which sees neither flags nor exports
exec gunicorn -c gunicorn.conf.py wsgi:app
