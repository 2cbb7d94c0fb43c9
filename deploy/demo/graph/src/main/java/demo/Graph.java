package demo;

import java.nio.file.Path;
import java.time.Duration;
import org.neo4j.configuration.GraphDatabaseSettings;
import org.neo4j.configuration.connectors.BoltConnector;
import org.neo4j.configuration.connectors.BoltConnectorInternalSettings;
import org.neo4j.configuration.helpers.SocketAddress;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;

/**
 * The real Neo4j in one process, with Bolt on loopback and nothing else.
 *
 * <p>The server distribution is on no package registry, but the database it wraps is on Maven
 * Central. Usage: Graph DIRECTORY BOLT_PORT. It ends on SIGTERM, after a clean shutdown.
 */
public final class Graph {
  private static final Duration NO_WAIT = Duration.ofMillis(100);

  public static void main(String[] args) throws InterruptedException {
    if (args.length != 2) {
      System.err.println("usage: Graph DIRECTORY BOLT_PORT");
      System.exit(2);
    }
    var address = new SocketAddress("127.0.0.1", Integer.parseInt(args[1]));
    var dbms =
        new DatabaseManagementServiceBuilder(Path.of(args[0]))
            .setConfig(BoltConnector.enabled, true)
            .setConfig(BoltConnector.listen_address, address)
            .setConfig(BoltConnector.advertised_address, address)
            .setConfig(GraphDatabaseSettings.auth_enabled, false)
            // Nobody is left to wait for when the stack stops.
            .setConfig(BoltConnectorInternalSettings.thread_pool_shutdown_wait_time, NO_WAIT)
            .setConfig(BoltConnectorInternalSettings.connection_shutdown_wait_time, NO_WAIT)
            .build();
    Runtime.getRuntime().addShutdownHook(new Thread(dbms::shutdown));
    System.out.println("bolt on " + address);
    Thread.currentThread().join();
  }
}
