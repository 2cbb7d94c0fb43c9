from locust import HttpUser, constant, task


class Suite(HttpUser):
    wait_time = constant(0.05)

    @task(3)
    def a(self):
        self.client.get("/a", name="a")

    @task(1)
    def bad(self):
        self.client.get("/bad", name="bad")
