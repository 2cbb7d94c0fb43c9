"""Load test of a RAG API: what the suite's locustfile does, with the weights that it has."""

import json
import random
import uuid
from typing import Any

from locust import HttpUser, between, task


class RAGUser(HttpUser):
    """Searches, chats, looks at the health."""

    wait_time = between(1, 3)
    session_id: str

    def on_start(self) -> None:
        """A session for each user."""
        self.session_id = str(uuid.uuid4())
        self.client.headers = {"Content-Type": "application/json"}

    @task(3)
    def search_query(self) -> None:
        """Hybrid search."""
        queries = ["What is a vector index?", "How does \"hybrid\" search work?", "What is RAG?"]
        query = random.choice(queries)

        with self.client.post(
            "/api/v1/retrieval/search",
            json={"query": query, "top_k": 5, "search_type": "hybrid", "use_reranking": False},
            catch_response=True,
            name="/api/v1/retrieval/search [hybrid]",
        ) as response:
            if response.status_code == 200:
                try:
                    data = response.json()
                    if "results" in data and len(data["results"]) > 0:
                        response.success()
                    else:
                        response.failure("Empty results")
                except json.JSONDecodeError:
                    response.failure("Invalid JSON response")
            else:
                response.failure(f"HTTP {response.status_code}")

    @task(1)
    def chat_query(self) -> None:
        messages = ["Explain vector databases", "Tell me about hybrid search"]
        message = random.choice(messages)
        with self.client.post(
            "/api/v1/chat", json={"query": message, "session_id": self.session_id}, catch_response=True, name="/api/v1/chat"
        ) as response:
            if response.status_code == 200:
                try:
                    data = response.json()
                    if "response" in data or "answer" in data:
                        response.success()
                    else:
                        response.failure("Missing response field")
                except json.JSONDecodeError:
                    response.failure("Invalid JSON response")
            else:
                response.failure(f"HTTP {response.status_code}")

    @task(0.5)
    def vector_search_only(self) -> None:
        queries = ["Vector embeddings", "Agent orchestration"]
        query = random.choice(queries)
        with self.client.post(
            "/api/v1/retrieval/search",
            json={"query": query, "top_k": 5, "search_type": "vector", "use_reranking": False},
            catch_response=True,
            name="/api/v1/retrieval/search [vector-only]",
        ) as response:
            if response.status_code == 200:
                response.success()
            else:
                response.failure(f"HTTP {response.status_code}")

    @task(0.2)
    def health_check(self) -> None:
        with self.client.get("/health", catch_response=True, name="/health") as response:
            if response.status_code == 200:
                response.success()
            else:
                response.failure(f"HTTP {response.status_code}")


class StressTestUser(HttpUser):
    """As fast as it goes."""

    wait_time = between(0.1, 0.5)
    session_id: str

    def on_start(self) -> None:
        self.session_id = str(uuid.uuid4())
        self.client.headers = {"Content-Type": "application/json"}

    @task(1)
    def rapid_search(self) -> None:
        with self.client.post(
            "/api/v1/retrieval/search",
            json={"query": "What is RAG?", "top_k": 5, "search_type": "hybrid", "use_reranking": False},
            catch_response=True,
            name="/api/v1/retrieval/search [stress]",
        ) as response:
            if response.status_code == 200:
                response.success()
            elif response.status_code == 429:
                response.success()  # expected under stress
            else:
                response.failure(f"HTTP {response.status_code}")


class LoadTestScenarios:
    """Commands to copy."""

    pass


if __name__ == "__main__":
    import os
    import sys

    sys.argv.extend(["--host", os.getenv("API_HOST", "http://localhost:8000")])
    from locust.main import main

    sys.exit(main())
