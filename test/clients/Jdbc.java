import java.sql.*;
import org.postgresql.util.*;

public class Jdbc {
    public static void main(String[] arguments) throws SQLException {
        try (Connection connection = DriverManager.getConnection(arguments[0])) {
            // A row. A text argument of a jsonb parameter is a PGobject, or stands as ?::jsonb.
            try (PreparedStatement open = connection.prepareStatement(
                    "SELECT * FROM flex_webchat_create(?, identity => ?, pre_engagement_data => ?::jsonb)")) {
                open.setString(1, "IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
                open.setString(2, "customer-4711");
                open.setString(3, "{\"topic\": \"billing\"}");
                try (ResultSet chat = open.executeQuery()) {
                    chat.next();
                    System.out.println("row: " + chat.getString("conversation_sid") + " " + chat.getString("identity"));
                }
            }

            // A row as one value: a PGobject with its text.
            try (PreparedStatement open = connection.prepareStatement("SELECT flex_webchat_create(?, identity => ?)")) {
                open.setString(1, "IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
                open.setString(2, "customer-4712");
                try (ResultSet chat = open.executeQuery()) {
                    chat.next();
                    PGobject value = (PGobject) chat.getObject(1);
                    System.out.println("composite: " + value.getType() + " " + value.getValue());
                }
            }

            // An error.
            try (PreparedStatement fetch = connection.prepareStatement("SELECT * FROM flex_flow_fetch(?)")) {
                fetch.setString(1, "FOaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
                fetch.executeQuery();
            } catch (PSQLException error) {
                System.out.println("error: " + error.getSQLState() + " " + error.getServerErrorMessage().getHint());
            }

            // After so many seconds the driver cancels the call in the server; cancel() does at once, from another thread.
            try (Statement slow = connection.createStatement()) {
                slow.setQueryTimeout(1);
                slow.executeQuery("SELECT * FROM flex_provisioning_status_fetch()");
            } catch (SQLException error) {
                System.out.println("cancelled: " + error.getSQLState());
            }
        }
    }
}
