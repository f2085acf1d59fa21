"""Writes the folders beside it without the crate under test, see README.md: python make.py [mf6-models.zip]

Needs PyYAML; given a zip of MODFLOW models, modflow-devtools as well, which writes the folder `modflow`.
"""

import hashlib
import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
CHUNK = 2048


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def numbers(count, step):
    """Bytes that compress badly and are the same each time."""
    return b"".join(hashlib.sha256(b"%d" % (number * step)).digest() for number in range(count))


def write(path, content):
    path = HERE / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def document(value):
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


TINY_V1 = {
    "config.json": b'{"layers": 2}\n',
    "tokenizer/vocab.txt": "null\neins\nzwölf\n".encode(),
    "weights/model.bin": numbers(160, 1),
}
TINY_V2 = {**TINY_V1, "config.json": b'{"layers": 3}\n', "weights/empty.bin": b""}


def manifest(files):
    """Chunks of one size over the files laid end to end, as `json.Marshal` prints a Go struct: no spaces."""
    stream = b"".join(files.values())
    chunks = [stream[at : at + CHUNK] for at in range(0, len(stream), CHUNK)]
    text = json.dumps(
        {
            "total_size": len(stream),
            "chunk_size": CHUNK,
            "chunks": [sha256(chunk) for chunk in chunks],
            "files": [{"path": path, "size": len(content)} for path, content in files.items()],
        },
        separators=(",", ":"),
    )
    return text.encode(), chunks


def chunked():
    hashes = []
    for files in [TINY_V1, TINY_V2]:
        text, chunks = manifest(files)
        for part in [text, *chunks]:
            write(f"chunked/data/{sha256(part)}", part)
        hashes.append(sha256(text))
    one, two = hashes
    described = {"hash": one, "metadata": {"description": "Counts to twelve", "type": "text", "tags": ["tiny"]}}
    index = {"speech/fast": {"tiny": {"v1": described, "v2": {"hash": two}, "latest": {"alias_of": "v2"}}}}
    write("chunked/models.json", document(index))


def store():
    text, _ = manifest(TINY_V1)
    for path, content in TINY_V1.items():
        write(f"store/speech/fast/tiny/v1/{path}", content)
    write("store/speech/fast/tiny/v1/.rack/manifest.json", text)
    entry = {
        "manifest_hash": sha256(text),
        "total_size": sum(map(len, TINY_V1.values())),
        "file_count": len(TINY_V1),
        "installed_at": "2025-11-30T10:20:30.123456789+01:00",
    }
    write("store/registry.json", document({"speech/fast": {"tiny": {"v1": entry}}}))


def hub():
    sha = hashlib.sha1(b"a commit").hexdigest()
    siblings = []
    for path, content in {**TINY_V1, ".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n"}.items():
        write(f"hub/files/{path}", content)
        if not path.endswith(".bin"):
            siblings.append({"rfilename": path, "size": len(content), "blobId": blob_id(content)})
            continue
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n"
        pointer %= sha256(content).encode(), len(content)
        lfs = {"sha256": sha256(content), "size": len(content), "pointerSize": len(pointer)}
        siblings.append({"rfilename": path, "size": len(content), "blobId": blob_id(pointer), "lfs": lfs})
    siblings.sort(key=lambda sibling: sibling["rfilename"])
    listed = {
        "_id": "621ffdc036468d709f17434d",
        "id": "speech/tiny",
        "likes": 12,
        "trendingScore": 0,
        "private": False,
        "downloads": 3400,
        "tags": ["transformers", "safetensors", "automatic-speech-recognition", "license:mit", "region:us"],
        "pipeline_tag": "automatic-speech-recognition",
        "library_name": "transformers",
        "createdAt": "2022-03-02T23:29:04.000Z",
        "modelId": "speech/tiny",
    }
    info = {
        **listed,
        "author": "speech",
        "sha": sha,
        "lastModified": "2024-02-19T10:57:45.000Z",
        "gated": False,
        "disabled": False,
        "widgetData": [{"text": "Hello"}],
        "model-index": None,
        "config": {"architectures": ["TinyForCTC"], "model_type": "tiny", "tokenizer_config": {}},
        "cardData": {"language": ["en", "de"], "license": "mit", "tags": ["audio"]},
        "transformersInfo": {"auto_model": "AutoModelForCTC", "processor": "AutoProcessor"},
        "siblings": siblings,
        "spaces": ["speech/demo"],
        "usedStorage": 5120,
    }
    target = {"ref": "refs/heads/main", "targetCommit": sha, "name": "main"}
    write("hub/model.json", document(info))
    names = [{"rfilename": sibling["rfilename"]} for sibling in siblings]
    in_full = {key: info[key] for key in ["author", "sha", "lastModified", "gated"]}
    write("hub/models.json", document([{**listed, **in_full, "siblings": names}]))
    write("hub/refs.json", document({"tags": [], "branches": [target], "converts": []}))


def modelops():
    import yaml

    files = {
        "models/sir.py": b"from modelops_calabaria import BaseModel, model_output\n\n\n"
        b"class SIR(BaseModel):\n"
        b'    """Susceptible, infected, recovered."""\n\n'
        b'    @model_output("incidence")\n    def incidence(self, raw, seed):\n        return raw\n\n'
        b'    @model_output("prevalence")\n    def prevalence(self, raw, seed):\n        return raw\n',
        "targets/incidence.py": b"from modelops_calabaria import calibration_target\n\n\n"
        b'@calibration_target(model_output="incidence", data={"observed": "data/observed.csv"})\n'
        b"def incidence_target(data_paths):\n    return None\n",
        "data/observed.csv": b"day,cases\n1,3\n2,5\n",
        "gnn/agent.md": b"# GNN model\n## ModelName\nAgent\n## StateSpaceBlock\nA[3,3]\nB[3]\n## Connections\nA>B\n",
    }
    for path, content in files.items():
        write(f"modelops/{path}", content)
    digest = {path: "sha256:" + sha256(content) for path, content in files.items()}
    data = ["data/observed.csv"]
    model = {
        "entrypoint": "models.sir:SIR",
        "path": "models/sir.py",
        "class_name": "SIR",
        "scenarios": ["baseline", "lockdown"],
        "parameters": ["beta", "gamma"],
        "outputs": ["incidence", "prevalence"],
        "data": data,
        "data_digests": {path: digest[path] for path in data},
        "code": [],
        "code_digests": {},
        "model_digest": digest["models/sir.py"],
    }
    target = {
        "path": "targets/incidence.py",
        "entrypoint": "targets.incidence:incidence_target",
        "model_output": "incidence",
        "data": data,
        "target_digest": digest["targets/incidence.py"],
    }
    registry = {
        "version": "1.0",
        "models": {"sir": model},
        "targets": {"incidence": target},
        "target_sets": {"main": ["incidence"]},
    }
    write("modelops/registry.yaml", yaml.safe_dump(registry, sort_keys=False).encode())
    entry = {
        "model_id": "agent",
        "model_name": "Agent",
        "file_path": "gnn/agent.md",
        "file_size_bytes": len(files["gnn/agent.md"]),
        "registered_at": "2025-09-29T12:00:00",
        "version": "1.2.0",
        "metadata": {"variables": 2, "connections": 1, "formats_generated": 23},
    }
    write("modelops/model_registry.json", document({"models": {"agent": entry}}))


def modflow():
    from modflow_devtools import models

    # The registry's constructor wants registries in a cache, which this one does without.
    models.PoochRegistry._load = lambda self: None
    registry = models.PoochRegistry(base_url=models._DEFAULT_BASE_URL, env=models._DEFAULT_ENV)
    base = "https://raw.githubusercontent.com/MODFLOW-ORG/modflow6-testmodels/develop/mf6"
    asset = "https://github.com/MODFLOW-ORG/modflow6-examples/releases/download/current/mf6examples.zip"
    (HERE / "modflow").mkdir()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(sys.argv[1]) as real:
        wanted = [name for name in real.namelist() if name.split("/")[1] in ("test001a_Tharmonic", "test003_gwfs")]
        real.extractall(folder, wanted)
        with zipfile.ZipFile(HERE / "modflow/mf6examples.zip", "w", zipfile.ZIP_DEFLATED) as made:
            for name in sorted(wanted):
                made.writestr(zipfile.ZipInfo(name.removeprefix("mf6/")), real.read(name), zipfile.ZIP_DEFLATED)
        for url, prefix in [(base, "mf6/test"), (asset, "mf6/example")]:
            output = f"modflow/{prefix.split('/')[1]}"
            registry.index(path=f"{folder}/mf6", url=url, prefix=prefix, output_path=HERE / output)


for make in [chunked, store, hub, modelops, *([modflow] if len(sys.argv) > 1 else [])]:
    shutil.rmtree(HERE / make.__name__, ignore_errors=True)
    make()
