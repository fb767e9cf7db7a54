import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;

/** Sends a word to HOST PORT, by a socket that is connected and by one that is not, and prints what comes back. */
class Ask {
    public static void main(String[] args) throws Exception {
        InetSocketAddress to = new InetSocketAddress(args[0], Integer.parseInt(args[1]));
        byte[] word = "hel".getBytes();
        DatagramPacket answer = new DatagramPacket(new byte[16], 16);
        try (DatagramSocket socket = new DatagramSocket()) {
            socket.setSoTimeout(4000);
            socket.send(new DatagramPacket(word, word.length, to));
            socket.receive(answer);
        }
        System.out.print(new String(answer.getData(), 0, answer.getLength()));
        ByteBuffer rest = ByteBuffer.allocate(16);
        try (DatagramChannel channel = DatagramChannel.open()) {
            channel.connect(to);
            channel.write(ByteBuffer.wrap("lo".getBytes()));
            channel.read(rest);
        }
        System.out.print(new String(rest.array(), 0, rest.position()));
    }
}
