// Socket.IO: a primary and 2 workers joined by the cluster adapter; WebSocket only, so no sticky sessions are needed.
const cluster = require("node:cluster");
const http = require("node:http");
const { Server } = require("socket.io");
const { createAdapter, setupPrimary } = require("@socket.io/cluster-adapter");

if (cluster.isPrimary) {
  setupPrimary();
  for (let i = 0; i < 2; i++) cluster.fork();
} else {
  const server = http.createServer();
  const io = new Server(server, { transports: ["websocket"], adapter: createAdapter() });
  io.on("connection", (socket) => {
    const room = socket.handshake.query.channel;
    socket.join(room);
    socket.on("pub", (data) => io.to(room).emit("msg", data));
  });
  server.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("listening"));
}
