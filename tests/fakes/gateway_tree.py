"""A tree with a `service` package that starts as a gateway does, answers two routes, and can be told to fail.

`python -m service serve --config FILE` listens where the file says. FAKE_GATEWAY in its environment:
what goes wrong.
"""

from pathlib import Path

_MAIN = """
import json, os, subprocess, sys, tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer

wrong = os.environ.get("FAKE_GATEWAY", "")
config = sys.argv[sys.argv.index("--config") + 1]
settings = tomllib.load(open(config, "rb"))
if wrong == "refuses" and "auth" in settings:
    print(f"{config}: auth.required: there is no such setting", file=sys.stderr)
    print("and more that nobody needs", file=sys.stderr)
    sys.exit(2)
if wrong == "refuses all":
    sys.exit("no such option")
if wrong == "crashes":
    print("x" * 5000 + " out of water", file=sys.stderr)
    sys.exit(3)
if wrong == "has a child":
    subprocess.Popen([sys.executable, "-c", "import sys, time; time.sleep(600)"])


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200 if self.path == "/readyz" else 404, b"{}")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        right = self.headers["authorization"] == "Bearer " + settings["auth"]["admin_key"]
        if wrong == "hangs up":
            return
        if not right or wrong == "forbids" or self.path != "/admin/keys":
            return self.answer(403, b'{"detail": "not with that key"}')
        if wrong == "makes nothing":
            return self.answer(201, b"{}")
        self.answer(201, json.dumps({"id": 1, "key": f"sk-{asked['name']}", "budgets": asked["budgets"]}).encode())


HTTPServer((settings["server"]["host"], settings["server"]["port"]), Handler).serve_forever()
"""


def write_gateway(root: Path) -> Path:
    """Put the tree into `root`; return it, for `benchmarks.lab.gateway.Gateway`."""
    package = root / "service"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(_MAIN)
    return root
