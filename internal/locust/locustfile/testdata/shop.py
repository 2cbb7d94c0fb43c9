"""What the common subset is made of: classes, weights, waits, tags, logins, names, checks."""
import json
import logging
import os
import random
import time
import uuid

from locust import FastHttpUser, HttpUser, SequentialTaskSet, TaskSet, between, constant, constant_pacing, events, tag, task

PRODUCTS = ["tea", "coffee", "green \"gunpowder\" tea"]
ACCOUNTS = [{"name": "ann", "password": "one"}, {"name": "bob", "password": "two"}]
API = "/api/" + "v1"
logger = logging.getLogger(__name__)


def new_reference():
    """One for each order."""
    prefix: str = "ref"
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


class Shopper(HttpUser):
    abstract = True
    wait_time = between(0.01, 0.03)
    page_size = 20

    def on_start(self):
        account = random.choice(ACCOUNTS)
        response = self.client.post(f"{API}/login", json={"user": account["name"], "password": account["password"]})
        if response.status_code == 200:
            self.token = response.json()["data"]["token"]
            self.client.headers.update({"Authorization": f"Bearer {self.token}"})
        else:
            logger.error("login failed")


class Customer(Shopper):
    weight = 3

    @tag("read")
    @task(4)
    def search(self):
        product = random.choice(PRODUCTS)
        self.client.get(API + "/search", params={"q": product, "page": random.randint(1, 3), "size": self.page_size}, name=f"{API}/search")

    @tag("read", "page")
    @task
    def front(self):
        self.client.get("/?from=mail&x=a b")
        self.client.get("/news", params={"lang": "de", "n": 5})

    @task(2)
    def order(self):
        reference = new_reference()
        with self.client.post(API + "/orders", json={"reference": reference, "lines": [{"product": "tea", "n": 2}]}, headers={"X-Reference": reference}, catch_response=True) as r:
            if r.status_code != 201:
                r.failure(f"HTTP {r.status_code}")
                return
            body = r.json()
            if body["state"] != "open":
                r.failure("wrong state")
        order_id = body["id"]
        self.client.put(f"{API}/orders/{order_id}/pay", data={"reference": reference, "by": "card"}, name=f"{API}/orders/[id]/pay")

    @task(0)
    def never(self):
        self.client.get("/never")


class Robot(FastHttpUser):
    wait_time = constant(0.02)
    fixed_count = 1

    def read(self):
        self.client.get("/robots.txt", headers={"User-Agent": "robot"}, auth=("bot", "secret"))

    @task
    def crawl(self):
        for kind in ["a", "b"]:
            self.client.request("GET", f"/kind/{kind}")
        self.read()
        self.client.head("/")
        self.client.delete("/cache", name="drop the cache")


class Steps(SequentialTaskSet):
    @task
    def one(self):
        self.client.get("/step/1")

    @task
    def two(self):
        payload = json.dumps({"id": str(uuid.uuid4()), "at": int(time.time())})
        self.client.patch("/step/2", data=payload, headers={"Content-Type": "application/json"})

    @task
    def three(self):
        with self.client.get("/step/3", catch_response=True) as response:
            if "three" not in response.text:
                response.failure("not three")
            elif response.elapsed.total_seconds() > 5:
                response.failure("slow")


class Walker(HttpUser):
    wait_time = constant_pacing(0.03)
    tasks = [Steps]


def ping(user):
    user.client.get("/ping")


def pong(l):
    l.client.get("/pong", headers={"X-Token": os.getenv("SHOP_TOKEN", "none")})


class Pinger(HttpUser):
    wait_time = constant(0.02)
    tasks = {ping: 3, pong: 1}


@events.test_start.add_listener
def begin(environment, **kwargs):
    print("go", environment.host)
