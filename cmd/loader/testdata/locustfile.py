"""What real Locust sends in TestBesideRealLocust; locust.yaml is the same for the loader."""
from locust import HttpUser, constant, task


class Suite(HttpUser):
    wait_time = constant(0.02)

    @task(3)
    def search(self):
        self.client.post("/search", json={"query": "q"}, name="/search [hybrid]")

    @task
    def chat(self):
        with self.client.post("/chat", json={"query": "q"}, catch_response=True) as r:
            if r.status_code != 200:
                r.failure(f"HTTP {r.status_code}")

    @task
    def missing(self):
        self.client.get("/missing")

    @task
    def broken(self):
        self.client.get("/broken", name='/br,o"ken')

    @task
    def moved(self):
        self.client.get("/moved")
