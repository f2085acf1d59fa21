#!/usr/bin/env python3
"""Compares what README.md shows of the reference CLI with what it prints: .ci/pictures.py RACK [--write]

Each picture is a block behind a comment with its name. RACK has the publisher's side. The registry is served on this machine,
from files that are the same each time. Speeds and durations are replaced by those of one run, and the home folder by
another; everything else is as it was printed. With `--write`, the pictures in README.md are replaced.
"""

import difflib
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from terminal import COLUMNS, Terminal

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
README = os.path.join(ROOT, "README.md")
MODEL = "whisper/tiny fp16"
PIECE_BYTES = 512 << 10
# How far the pull is when it is shown. The bar gets what the speed and the time leave of the line, so it is replaced with them.
HALFWAY = re.compile(r"(\[=+> +\]  58%  25\.2 / 43\.2 MB  [\d.]+ [kM]B/s  \d+s) left")
REPLACED = [
    (HALFWAY, "[==========>       ]  58%  25.2 / 43.2 MB  21.3 MB/s  1s"),
    (re.compile(r"43\.2 MB in (\d+(?:\.\d)?)s"), "2"),
    (re.compile(r"14 B in (\d+(?:\.\d)?)s"), "0.2"),
]


class Registry(http.server.ThreadingHTTPServer):
    """A chunked registry, which keeps all but the first chunks back until it is told to go on."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Files)
        self.folder = folder
        self.kept_back = set()
        self.go_on = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def keep_back_after(self, count):
        """Keeps all chunks but so many back, which come first in the manifest."""
        index = self.json("models.json")
        manifest = self.json("data", index["whisper"]["tiny"]["fp16"]["hash"])
        self.kept_back = set(manifest["chunks"][count:])

    def json(self, *path):
        with open(os.path.join(self.folder, *path), encoding="utf-8") as file:
            return json.load(file)


class Files(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if os.path.basename(self.path) in self.server.kept_back:
            self.server.go_on.wait()
        path = os.path.join(self.server.folder, self.path.strip("/"))
        body = open(path, "rb").read() if os.path.isfile(path) else None
        self.send_response(404 if body is None else 200)
        self.send_header("content-length", str(len(body or b"")))
        self.end_headers()
        # How long a pull takes can be told once bytes have come for a while.
        for start in range(0, len(body or b""), PIECE_BYTES):
            time.sleep(0.02)
            self.wfile.write(body[start : start + PIECE_BYTES])


class Machine:
    """A home folder, a registry with one model, and a project."""

    def __init__(self, folder, rack):
        self.folder, self.rack = folder, rack
        self.home = os.path.join(folder, "home")
        self.project = os.path.join(folder, "project")
        shutil.copytree(os.path.join(ROOT, "examples", "project"), self.project)
        os.mkdir(self.home)
        self.registry = Registry(os.path.join(folder, "registry"))
        self.environment = {
            "HOME": self.home,
            "PATH": os.defpath,
            "TERM": "xterm",
            "RACK_MODELS_REGISTRY_URL": f"http://127.0.0.1:{self.registry.server_port}",
        }
        self.write("tiny/model.safetensors", noise(41_000_000))
        self.write("tiny/tokenizer.json", noise(2_200_000))

    def write(self, path, content):
        path = os.path.join(self.folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)

    def publish(self, layers):
        """Publishes the model with another configuration."""
        self.write("tiny/config.json", f'{{"layers": {layers}}}\n'.encode())
        line = "registry publish tiny --to registry --group whisper --version fp16 --chunking fixed --quiet"
        subprocess.run([self.rack, "models", *line.split()], cwd=self.folder, env=self.environment, check=True)

    def start(self, line, folder=None):
        return Terminal([self.rack, *line.split()[1:]], self.environment, folder or self.home)

    def run(self, line, folder=None):
        return [f"$ {line}", *self.start(line, folder).end()]


def noise(size):
    """Bytes that look random, and are the same each time."""
    return hashlib.shake_128(str(size).encode()).digest(size)


def pull(machine):
    machine.publish(4)
    machine.registry.keep_back_after(4)
    line = f"rack models pull {MODEL}"
    running = machine.start(line)
    running.until(lambda terminal: HALFWAY.search("\n".join(terminal.screen())), line)
    meter = [line for line in running.screen() if line]
    machine.registry.go_on.set()
    return [f"$ {line}", *meter, *running.end()]


def update(machine):
    machine.publish(6)
    return [*machine.run("rack models update"), *machine.run("rack models update --apply")]


def status(machine):
    os.remove(os.path.join(machine.project, "models", "peak.safetensors"))
    with open(os.path.join(machine.project, "models", "sir.py"), "a") as model:
        model.write("\n# Changed.\n")
    return machine.run("rack models registry status", machine.project)


PICTURES = [pull, update, status]


def settled(lines, machine):
    """The text of a picture, without what differs from run to run."""
    text = "\n".join(line for line in lines if line).replace(os.path.realpath(machine.home), "/home/me")
    for pattern, instead in REPLACED:
        text = pattern.sub(lambda found: found[0].replace(found[1], instead), text)
    wide = [line for line in text.split("\n") if len(line) > COLUMNS]
    if wide:
        sys.exit(f"wider than {COLUMNS} columns: {wide}")
    return text


def main():
    rack, write = os.path.abspath(sys.argv[1]), "--write" in sys.argv
    readme = expected = open(README, encoding="utf-8").read()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(os.path.realpath(folder), rack)
        for picture in PICTURES:
            text = settled(picture(machine), machine)
            start, end = f"<!-- picture: {picture.__name__} -->\n```text\n", "```\n"
            before, found, rest = expected.partition(start)
            if not found:
                sys.exit(f"README.md has no picture of {picture.__name__!r}")
            expected = before + start + text + "\n" + end + rest.partition(end)[2]
    if expected != readme and write:
        open(README, "w", encoding="utf-8").write(expected)
    elif expected != readme:
        sys.stdout.writelines(difflib.unified_diff(readme.splitlines(True), expected.splitlines(True), "README.md", "printed"))
        sys.exit("README.md shows something else than the program prints: .ci/pictures.py RACK --write")


main()
