import random

from locust import HttpUser, LoadTestShape, TaskSet, between, events, task
from faker import Faker

fake = Faker()


@events.request.add_listener
def each(request_type, name, **kwargs):
    with open("log.txt", "a") as f:
        f.write(name)


class Shape(LoadTestShape):
    def tick(self):
        return (10, 1)


class Hard(HttpUser):
    wait_time = lambda self: random.expovariate(1)
    connection_timeout = 5

    def on_start(self):
        self.client.headers.update({"X-Day": day()})

    @task
    def generated(self):
        self.client.post("/people", json={"name": fake.name()})

    @task(2)
    def conditional(self):
        r = self.client.get("/state")
        if r.json()["state"] == "open":
            self.client.post("/close")
        if random.random() < 0.1:
            self.client.get("/rare")

    @task
    def counted(self):
        i = 0
        while i < 3:
            self.client.get(f"/page/{i}")
            i += 1

    @task
    def checked(self):
        with self.client.get("/x", catch_response=True, timeout=3) as r:
            if len(r.content) < 100:
                r.failure("short")

    @task
    def elsewhere(self):
        self.client.get("http://other.example/x")
        self.client.post("/files", files={"f": open("x", "rb")})
        self.client.get("/ok", name="all %s" % "pages")

    @task
    class Nested(TaskSet):
        @task
        def stay(self):
            self.client.get("/stay")

    @task
    def stops(self):
        with self.client.get("/may", catch_response=True) as r:
            if r.status_code != 200:
                r.failure("no")
                return
        self.client.get("/then")

    @task
    def forgotten(self):
        self.client.get("/uncounted", catch_response=True)


if Hard:

    class Late(HttpUser):
        @task
        def late(self):
            self.client.get("/late")
