// The WebSocket: a snapshot, then changes; again and again where it is cut.

const longest = 15_000;

export function follow(take, tell) {
  let wait = 500;
  const connect = () => {
    const socket = new WebSocket(new URL("ws", document.baseURI.replace(/^http/, "ws")));
    socket.onopen = () => tell(true);
    socket.onmessage = (event) => {
      wait = 500;
      take(JSON.parse(event.data));
    };
    socket.onclose = () => {
      tell(false);
      setTimeout(connect, wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, longest);
    };
  };
  connect();
}
