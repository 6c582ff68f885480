"""What has a name of its own in a project's region, models and endpoints: their ids are their names."""

import time
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from onstage.cloud import NotFoundError
from onstage.commands import show
from onstage.vertex.client.session import Client
from onstage.vertex.requests import bodies
from onstage.vertex.requests.locations import job_name
from onstage.vertex_section import Vertex

# The rest of the 63 characters of a name is the time.
_LONGEST_SLUG = 40
Body = dict[str, Any]


class Resources:
    """The resources of one settings.toml, each by its collection, such as "models", and its name."""

    def __init__(self, client: Client, cloud: Vertex) -> None:
        self._client, self._cloud = client, cloud

    def path(self, collection: str, name: str) -> str:
        """The whole name: projects/.../locations/.../collection/name."""
        return f"{bodies.parent(self._cloud)}/{collection}/{quote(name, safe='')}"

    def get(self, collection: str, name: str) -> Body | None:
        """What Vertex AI says of it; None when there is none."""
        try:
            return self._client.call("aiplatform", "GET", f"/v1/{self.path(collection, name)}")
        except NotFoundError:
            return None

    def until_there(self, collection: str, name: str) -> None:
        """Wait for what was not there, and of which the answer to a first attempt was lost."""
        for pause in show.pauses():
            if self.get(collection, name):
                return
            time.sleep(pause)

    def delete(self, collection: str, name: str) -> None:
        """Remove it, and wait until it is gone."""
        path = f"/v1/{self.path(collection, name)}"
        try:
            self._client.wait(self._client.call("aiplatform", "DELETE", path), f"removing {collection[:-1]} {name}")
        except NotFoundError:
            # Somebody else was faster.
            return


def new_name(slug: str) -> str:
    """A name that nothing of the project has yet."""
    return job_name(slug[:_LONGEST_SLUG].rstrip("_"), datetime.now(timezone.utc))
