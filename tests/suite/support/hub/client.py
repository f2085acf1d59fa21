"""Checks the Hub of the tests at HF_ENDPOINT with the client that the Hub's makers publish, of 2.4 or thereabouts."""

import faulthandler
import hashlib
import os
import sys
import tempfile
from pathlib import Path

import huggingface_hub
from huggingface_hub import HfApi, errors, get_hf_file_metadata, hf_hub_download, hf_hub_url, snapshot_download

ENDPOINT = os.environ["HF_ENDPOINT"]
MIRROR = ENDPOINT.endswith("/mirror")
PATIENCE_SECONDS = 120
MODEL = "openai/whisper-tiny"
CONFIG = b'{"model_type": "whisper"}\n'
WEIGHTS = bytes(number % 251 for number in range(100_000))
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()

api = HfApi(token=False)


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def refused(kind, call, status):
    """Calls, expects just this kind of error, and returns it."""
    try:
        call()
    except errors.HfHubHTTPError as error:
        assert type(error) is kind, f"{type(error).__name__} in place of {kind.__name__}: {error}"
        assert error.response.status_code == status, error
        return error
    raise AssertionError(f"no {kind.__name__}")


def metadata(repo, name, revision=None, token=False):
    return get_hf_file_metadata(hf_hub_url(repo, name, revision=revision), token=token)


def facts():
    info = api.model_info(MODEL)
    assert (info.id, info.author, info.private, info.gated, info.disabled) == (MODEL, "openai", False, False, False)
    assert (info.pipeline_tag, info.library_name) == ("automatic-speech-recognition", "transformers")
    assert (info.downloads, info.likes, info.card_data.license) == (1000, 10, "apache-2.0")
    assert info.created_at < info.last_modified and "license:apache-2.0" in info.tags
    assert [file.rfilename for file in info.siblings] == ["config.json", "model.safetensors", "onnx/ä b.txt"]
    detailed = api.model_info(MODEL, revision=info.sha, files_metadata=True)
    config, weights, _ = detailed.siblings
    assert (config.size, config.blob_id, config.lfs) == (len(CONFIG), blob_id(CONFIG), None)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA256}\nsize {len(WEIGHTS)}\n".encode()
    assert (weights.size, weights.blob_id) == (len(WEIGHTS), blob_id(pointer))
    assert weights.lfs == {"size": len(WEIGHTS), "sha256": SHA256, "pointer_size": len(pointer)}
    expanded = api.model_info(MODEL, expand=["sha", "gated"])
    assert (expanded.sha, expanded.gated, expanded.siblings) == (info.sha, False, None)


def revisions():
    refs = api.list_repo_refs(MODEL, include_pull_requests=True)
    (main,), (tag,), (pull_request,) = refs.branches, refs.tags, refs.pull_requests
    for revision, ref in [("main", main), ("v1", tag), ("refs/pr/1", pull_request), (tag.target_commit, tag)]:
        assert api.model_info(MODEL, revision=revision).sha == ref.target_commit
        assert metadata(MODEL, "config.json", revision).commit_hash == ref.target_commit
    proposed = hf_hub_download(MODEL, "config.json", revision="refs/pr/1", token=False)
    assert Path(proposed).read_bytes() == b"proposed\n"
    for revision in ["v2", tag.target_commit[:7]]:
        refused(errors.RevisionNotFoundError, lambda: api.model_info(MODEL, revision=revision), 404)
        refused(errors.RevisionNotFoundError, lambda: metadata(MODEL, "config.json", revision), 404)


def files():
    config = metadata(MODEL, "config.json")
    assert (config.etag, config.size) == (blob_id(CONFIG), len(CONFIG))
    assert ("/api/resolve-cache/" in config.location) == MIRROR, config.location
    weights = metadata(MODEL, "model.safetensors")
    assert (weights.etag, weights.size) == (SHA256, len(WEIGHTS))
    assert not weights.location.startswith(ENDPOINT)
    for name, content in [("config.json", CONFIG), ("model.safetensors", WEIGHTS), ("onnx/ä b.txt", b"hello\n")]:
        # With a token, which must not reach the storage.
        assert Path(hf_hub_download(MODEL, name, token="hf_stranger")).read_bytes() == content
    missing = refused(errors.RemoteEntryNotFoundError, lambda: metadata(MODEL, "none"), 404)
    assert len(missing.response.headers["X-Repo-Commit"]) == 40


def snapshots():
    folder = Path(snapshot_download(MODEL, token=False))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    verified = api.verify_repo_checksums(MODEL, revision=folder.name)
    assert verified.checked_count == 3 and not verified.mismatches and not verified.missing_paths
    with tempfile.TemporaryDirectory() as target:
        snapshot_download(MODEL, revision="v1", local_dir=target, token=False)
        assert (Path(target) / "config.json").read_bytes() == b"{}\n"
    listed = api.list_repo_tree(MODEL, "onnx")
    assert [entry.path for entry in listed] == ["onnx/ä b.txt"]


def names():
    assert api.model_info("whisper").id == MODEL
    assert api.model_info("openai/whisper-smallest", revision="v1").id == MODEL
    assert api.model_info("gpt2").id == "gpt2"
    for name in ["whisper", "openai/whisper-smallest"]:
        assert metadata(name, "config.json").etag == blob_id(CONFIG)
        assert Path(hf_hub_download(name, "model.safetensors", token=False)).read_bytes() == WEIGHTS
    assert Path(hf_hub_download("gpt2", "config.json", token=False)).read_bytes() == CONFIG


def access():
    def info(name, token):
        return api.model_info(f"openai/{name}", token=token)

    def file(name, token):
        return metadata(f"openai/{name}", "config.json", token=token)

    missing = errors.RepositoryNotFoundError
    # Without a code the client knows a missing repository by a 401 from an address with https only.
    anonymous = missing if MIRROR else errors.HfHubHTTPError
    for call in [info, file]:
        for name in ["hidden", "none"]:
            refused(anonymous, lambda: call(name, False), 401)
            refused(missing, lambda: call(name, "hf_stranger"), 404)
        wrong = refused(errors.HfHubHTTPError, lambda: call("whisper-tiny", "hf_wrong"), 401)
        assert wrong.server_message == "Invalid credentials in Authorization header"
        call("hidden", "hf_friend")
    assert info("gated", False).gated == "auto"
    assert info("disabled", False).disabled
    refused(errors.GatedRepoError, lambda: file("gated", False), 401)
    refused(errors.GatedRepoError, lambda: file("gated", "hf_stranger"), 403)
    refused(errors.DisabledRepoError, lambda: file("disabled", False), 403)
    for name in ["config.json", "model.safetensors"]:
        hf_hub_download("openai/gated", name, token="hf_friend")
        hf_hub_download("openai/hidden", name, token="hf_friend")
    assert api.whoami(token="hf_friend")["name"] == "reader"
    refused(errors.HfHubHTTPError, lambda: api.whoami(token="hf_wrong"), 401)


def lists():
    assert [model.id for model in api.list_models(search="WHISPER")] == [MODEL, "openai/whisper-base"]
    assert [model.id for model in api.list_models(search="whisper", limit=1)] == [MODEL]
    everything = [model.id for model in api.list_models()]
    assert "openai/hidden" not in everything and "openai/gated" in everything
    hidden = [model.id for model in api.list_models(search="hidden", token="hf_friend")]
    assert hidden == ["openai/hidden"]
    (full,) = api.list_models(filter="transformers", pipeline_tag="automatic-speech-recognition", full=True)
    assert full.id == MODEL and len(full.sha) == 40 and full.last_modified and full.siblings
    # Refused once, and told to come back at once.
    assert list(api.list_models(search="patience")) == []


def pages():
    from huggingface_hub.utils import build_hf_headers
    from huggingface_hub.utils._pagination import paginate

    everything = [model.id for model in api.list_models()]
    paged = paginate(f"{ENDPOINT}/api/models", params={"limit": 2}, headers=build_hf_headers(token=False))
    assert [model["id"] for model in paged] == everything and len(everything) > 4


def main():
    faulthandler.dump_traceback_later(PATIENCE_SECONDS, exit=True)
    print(f"huggingface_hub {huggingface_hub.__version__} at {ENDPOINT}")
    for check in [facts, revisions, files, snapshots, names, access, lists, pages]:
        check()
        print(f"  {check.__name__}: as expected")


if __name__ == "__main__":
    sys.exit(main())
