"""Images as OCI layouts, made without any tool."""
import gzip
import hashlib
import io
import json
import tarfile

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def layer(fill):
    """A layer's archive, which `fill` gets open."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        fill(archive)
    return buffer.getvalue()


def add(archive, name, text=None, kind=None, **attributes):
    """Adds one entry: a file with a text, else a directory or what `kind` says."""
    entry = tarfile.TarInfo(name)
    entry.type = kind or (tarfile.DIRTYPE if text is None else tarfile.REGTYPE)
    entry.mode = 0o755
    for attribute, value in attributes.items():
        setattr(entry, attribute, value)
    content = (text or "").encode()
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def write(directory, layers, machine="amd64", **config):
    """Writes an image with these layers, the lowest first."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content, kind):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    described = [blob(gzip.compress(content, 1), LAYER) for content in layers]
    diff_ids = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in layers]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    text = json.dumps({"os": "linux", "architecture": machine, "config": config, "rootfs": rootfs})
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": blob(text.encode(), CONFIG), "layers": described}
    manifest = blob(json.dumps(document).encode(), MANIFEST)
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory
