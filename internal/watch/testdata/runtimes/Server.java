import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;

/** A service whose threads each serve one request at a time, and that knows what its functions cost. */
public class Server {
    static final ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    static final Map<String, AtomicLong> spent = new TreeMap<>(Map.of("burnLarge", new AtomicLong(), "burnSmall", new AtomicLong()));
    static volatile long sink;

    static void burnLarge() { sink += squares(6_000_000); }

    static void burnSmall() { sink += cubes(2_000_000); }

    static long squares(long ns) {
        long sum = 0;
        for (long end = threads.getCurrentThreadCpuTime() + ns; threads.getCurrentThreadCpuTime() < end;)
            for (int i = 0; i < 20_000; i++) sum += (long) i * i % 7;
        return sum;
    }

    static long cubes(long ns) {
        long sum = 0;
        for (long end = threads.getCurrentThreadCpuTime() + ns; threads.getCurrentThreadCpuTime() < end;)
            for (int i = 0; i < 20_000; i++) sum += (long) i * i * i % 5;
        return sum;
    }

    static void answer(HttpExchange x, String text) throws IOException {
        x.getRequestBody().readAllBytes();
        byte[] body = text.getBytes();
        x.sendResponseHeaders(200, body.length);
        x.getResponseBody().write(body);
        x.close();
    }

    static void serve(HttpServer server, String path, String name, Runnable burn) {
        server.createContext(path, x -> {
            long begin = threads.getCurrentThreadCpuTime();
            burn.run();
            spent.get(name).addAndGet(threads.getCurrentThreadCpuTime() - begin);
            answer(x, "fine\n");
        });
    }

    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getByName(args[0]), Integer.parseInt(args[1])), 64);
        server.setExecutor(Executors.newFixedThreadPool(4));
        serve(server, "/jvm/large", "burnLarge", Server::burnLarge);
        serve(server, "/jvm/small", "burnSmall", Server::burnSmall);
        server.createContext("/truth", x -> answer(x, spent.toString()
            .replace("=", "\":").replace("{", "{\"").replace(", ", ",\"")));
        server.start();
        System.out.println("ready");
        while (System.in.read() >= 0) { }
        System.exit(0);
    }
}
