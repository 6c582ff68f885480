"""Amazon S3 as a folder: the object s3://bucket/key is the file bucket/key. Answers what uploads and downloads ask."""

import io
import shutil
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from onstage.errors import UserError

_ETAG = '"recorded"'


class FolderS3:
    """Answers S3 operations, each a method of its snake-case name, from the folder `root` and into it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._parts = root.parent / "parts"

    def answer(self, operation: str, params: Mapping[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """HTTP status and parsed response; None for an operation that is not answered here."""
        from botocore import xform_name

        method = getattr(self, xform_name(operation), None)
        if method is None:
            return None
        try:
            return 200, method(params) or {}
        except FileNotFoundError:
            error = {"Code": "NoSuchKey" if operation == "GetObject" else "404", "Message": "Not Found"}
            return 404, {"Error": error}

    def list_buckets(self, _: Mapping[str, Any]) -> dict[str, Any]:
        folders = sorted(self.root.iterdir()) if self.root.is_dir() else []
        return {"Buckets": [{"Name": folder.name, "CreationDate": _changed(folder)} for folder in folders]}

    def create_bucket(self, params: Mapping[str, Any]) -> dict[str, Any]:
        self._bucket(params).mkdir(parents=True, exist_ok=True)
        return {"Location": f"/{params['Bucket']}"}

    def head_bucket(self, params: Mapping[str, Any]) -> None:
        self._bucket(params).stat()

    def get_bucket_location(self, _: Mapping[str, Any]) -> None:
        """No LocationConstraint means us-east-1, which nobody contradicts here."""

    def put_object(self, params: Mapping[str, Any]) -> dict[str, Any]:
        file = self._file(params)
        if params["Key"].endswith("/"):
            # A console's way to show a folder.
            file.mkdir(parents=True, exist_ok=True)
        else:
            _write(file, params.get("Body", b""))
        return {"ETag": _ETAG}

    def head_object(self, params: Mapping[str, Any]) -> dict[str, Any]:
        file = self._file(params)
        if not file.is_file():
            raise FileNotFoundError(file)
        return {"ContentLength": file.stat().st_size, "LastModified": _changed(file), "ETag": _ETAG}

    def get_object(self, params: Mapping[str, Any]) -> dict[str, Any]:
        from botocore.response import StreamingBody

        described = self.head_object(params)
        content = self._file(params).read_bytes()
        if params.get("Range"):
            first, _, last = params["Range"].removeprefix("bytes=").partition("-")
            part = content[int(first) : int(last) + 1 if last else None]
            described["ContentRange"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
            content = part
        return {
            **described,
            "ContentLength": len(content),
            "Body": StreamingBody(io.BytesIO(content), len(content)),
        }

    def delete_object(self, params: Mapping[str, Any]) -> None:
        self._file(params).unlink(missing_ok=True)

    def list_objects_v2(self, params: Mapping[str, Any]) -> dict[str, Any]:
        bucket = self._bucket(params)
        keys = sorted(file.relative_to(bucket).as_posix() for file in bucket.rglob("*") if file.is_file())
        chosen = [key for key in keys if key.startswith(params.get("Prefix") or "")]
        return {
            "Contents": [
                {"Key": key, **self._listed(bucket / key)} for key in chosen
            ],
            "KeyCount": len(chosen),
            "IsTruncated": False,
        }  # fmt: skip

    list_objects = list_objects_v2

    def create_multipart_upload(self, params: Mapping[str, Any]) -> dict[str, Any]:
        upload = uuid.uuid4().hex
        (self._parts / upload).mkdir(parents=True)
        return {"Bucket": params["Bucket"], "Key": params["Key"], "UploadId": upload}

    def upload_part(self, params: Mapping[str, Any]) -> dict[str, Any]:
        _write(self._parts / params["UploadId"] / f"{params['PartNumber']:05d}", params["Body"])
        return {"ETag": _ETAG}

    def complete_multipart_upload(self, params: Mapping[str, Any]) -> dict[str, Any]:
        folder, file = self._parts / params["UploadId"], self._file(params)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as whole:
            for part in sorted(folder.iterdir()):
                with part.open("rb") as content:
                    shutil.copyfileobj(content, whole)
        self.abort_multipart_upload(params)
        return {"Bucket": params["Bucket"], "Key": params["Key"], "ETag": _ETAG}

    def abort_multipart_upload(self, params: Mapping[str, Any]) -> None:
        shutil.rmtree(self._parts / params["UploadId"])
        if not any(self._parts.iterdir()):
            self._parts.rmdir()

    def _bucket(self, params: Mapping[str, Any]) -> Path:
        return self.root / params["Bucket"]

    def _file(self, params: Mapping[str, Any]) -> Path:
        bucket = self._bucket(params).resolve()
        file = (bucket / params["Key"]).resolve()
        if not file.is_relative_to(bucket) or bucket.parent != self.root.resolve():
            raise UserError(f"s3://{params['Bucket']}/{params['Key']} leads out of its bucket")
        return file

    def _listed(self, file: Path) -> dict[str, Any]:
        return {"Size": file.stat().st_size, "LastModified": _changed(file), "ETag": _ETAG, "StorageClass": "STANDARD"}


def _write(file: Path, body: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as target:
        if hasattr(body, "read"):
            shutil.copyfileobj(body, target)
        else:
            target.write(body.encode() if isinstance(body, str) else body)


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
