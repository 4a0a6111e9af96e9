"""In what pieces Flower carries an array: its own setting, which it reads from the environment.

8 MiB in the place of 5. Each piece is one request, one transaction of SuperLink's database and one signature of
the SuperNode, whose cost does not depend on its size; SuperLink holds several of them in memory for every site.
The gateway lets requests of 16 MiB pass.
"""

from collections.abc import Mapping

CHUNK_BYTES = 8 * 2**20
CHUNKS: Mapping[str, str] = {"FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE": str(CHUNK_BYTES)}
