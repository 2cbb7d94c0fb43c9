"""Fill the stores: embed the passages, put vectors into Qdrant and terms into Neo4j.

Usage: python index.py PASSAGES.jsonl CACHE_DIR

Embeddings are kept in CACHE_DIR by the hash of model and text, so that a second run asks the model for nothing.
"""

import asyncio
import collections
import hashlib
import itertools
import json
import pathlib
import sqlite3
import sys

import httpx
import neo4j
import numpy as np
from qdrant_client import AsyncQdrantClient, models

import settings
from retrieval import terms

BATCH = 32


def digest(text: str) -> str:
    return hashlib.sha256(f"{settings.EMBED_MODEL}\n{text}".encode()).hexdigest()


async def embed_all(passages: list[dict], cache: pathlib.Path) -> list[list[float]]:
    db = sqlite3.connect(cache / "embeddings.sqlite")
    db.execute("CREATE TABLE IF NOT EXISTS embeddings (hash TEXT PRIMARY KEY, vector BLOB)")
    known = dict(db.execute("SELECT hash, vector FROM embeddings"))
    missing = [p for p in passages if digest(p["text"]) not in known]
    async with httpx.AsyncClient(base_url=settings.OLLAMA_URL, timeout=120) as http:
        for start in range(0, len(missing), BATCH):
            texts = [p["text"] for p in missing[start : start + BATCH]]
            response = await http.post("/api/embed", json={"model": settings.EMBED_MODEL, "input": texts})
            response.raise_for_status()
            rows = [
                (digest(t), np.asarray(v, np.float32).tobytes()) for t, v in zip(texts, response.json()["embeddings"])
            ]
            db.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?)", rows)
            db.commit()
            known.update(rows)
            print(f"embedded {start + len(texts)} of {len(missing)}", flush=True)
    db.close()
    return [np.frombuffer(known[digest(p["text"])], np.float32).tolist() for p in passages]


async def fill_qdrant(passages: list[dict], vectors: list[list[float]]) -> None:
    client = AsyncQdrantClient(
        host=settings.QDRANT_HOST, port=settings.QDRANT_PORT, grpc_port=settings.QDRANT_GRPC_PORT, prefer_grpc=True
    )
    if await client.collection_exists(settings.COLLECTION):
        await client.delete_collection(settings.COLLECTION)
    await client.create_collection(
        settings.COLLECTION, vectors_config=models.VectorParams(size=len(vectors[0]), distance=models.Distance.COSINE)
    )
    points = [
        models.PointStruct(id=p["id"], vector=v, payload={"title": p["title"], "text": p["text"]})
        for p, v in zip(passages, vectors)
    ]
    for start in range(0, len(points), 256):
        await client.upsert(settings.COLLECTION, points=points[start : start + 256], wait=True)
    print(f"qdrant: {(await client.count(settings.COLLECTION)).count} points", flush=True)
    await client.close()


async def fill_graph(passages: list[dict]) -> None:
    """(:Passage)-[:MENTIONS]->(:Term)-[:RELATED]-(:Term); terms are related when they meet in several passages."""
    fingerprint = hashlib.sha256("".join(p["text"] for p in passages).encode()).hexdigest()
    mentions = {p["id"]: terms(p["title"] + " " + p["text"]) for p in passages}
    count = collections.Counter(itertools.chain.from_iterable(mentions.values()))
    kept = {t for t, n in count.items() if 2 <= n <= len(passages) // 20}
    pairs = collections.Counter()
    for found in mentions.values():
        pairs.update(itertools.combinations([t for t in found if t in kept], 2))
    related = [{"a": a, "b": b, "n": n} for (a, b), n in pairs.items() if n >= 4]

    async with neo4j.AsyncGraphDatabase.driver(
        settings.NEO4J_URI, notifications_min_severity="OFF"
    ) as driver:
        done, _, _ = await driver.execute_query("MATCH (c:Corpus {hash: $h}) RETURN c", h=fingerprint)
        if not done:
            await driver.execute_query("MATCH (n) DETACH DELETE n")
            await driver.execute_query("CREATE INDEX term_name IF NOT EXISTS FOR (t:Term) ON (t.name)")
            await driver.execute_query("CREATE INDEX passage_id IF NOT EXISTS FOR (p:Passage) ON (p.id)")
            await driver.execute_query("CALL db.awaitIndexes(60)")
            await driver.execute_query(
                "UNWIND $rows AS r CREATE (:Term {name: r.name, passages: r.n})",
                rows=[{"name": t, "n": count[t]} for t in sorted(kept)],
            )
            await driver.execute_query(
                "UNWIND $rows AS r CREATE (p:Passage {id: r.id, title: r.title, text: r.text}) "
                "WITH p, r UNWIND r.terms AS name MATCH (t:Term {name: name}) CREATE (p)-[:MENTIONS]->(t)",
                rows=[{**p, "terms": [t for t in mentions[p["id"]] if t in kept]} for p in passages],
            )
            await driver.execute_query(
                "UNWIND $rows AS r MATCH (a:Term {name: r.a}), (b:Term {name: r.b}) CREATE (a)-[:RELATED {n: r.n}]->(b)",
                rows=related,
            )
            await driver.execute_query("CREATE (:Corpus {hash: $h})", h=fingerprint)
        nodes, _, _ = await driver.execute_query("MATCH (n) RETURN count(n) AS n")
        edges, _, _ = await driver.execute_query("MATCH ()-[r]->() RETURN count(r) AS n")
        print(f"neo4j: {nodes[0]['n']} nodes, {edges[0]['n']} relations", flush=True)


async def fill_vectors(passages: list[dict], cache: pathlib.Path) -> None:
    await fill_qdrant(passages, await embed_all(passages, cache))


async def main() -> None:
    passages = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
    # The model and the graph take about as long as each other, on different cores.
    work = [fill_vectors(passages, pathlib.Path(sys.argv[2]))]
    if settings.NEO4J_URI:
        work.append(fill_graph(passages))
    await asyncio.gather(*work)


if __name__ == "__main__":
    asyncio.run(main())
