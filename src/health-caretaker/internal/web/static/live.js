// Updates come over the WebSocket: a snapshot, then changes. While none opens, for example behind a proxy that does not
// pass WebSocket or that changes Host, the API is polled.

const longest = 15_000; // from one WebSocket to the next
const patience = 3_000; // for the first message: some proxies never answer the handshake
export const often = 5_000; // from one request of the API to the next

async function get(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(2 * often) });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

// follow passes each message to take, and the state of the connection to tell: "live", "polled" or "cut".
export function follow(take, tell) {
  let wait = 500;
  let live = false;
  let polling = false;

  const poll = async () => {
    polling = !live;
    if (live) return;
    try {
      const [status, { endpoints }] = await Promise.all([get("api/v1/status"), get("api/v1/endpoints")]);
      if (!live) {
        take({ type: "snapshot", status, endpoints });
        tell("polled");
      }
    } catch {
      if (!live) tell("cut");
    }
    setTimeout(poll, often);
  };

  const connect = () => {
    let over = false;
    let late;
    const lost = () => {
      if (over) return;
      over = true;
      live = false;
      clearTimeout(late);
      if (!polling) poll();
      setTimeout(connect, wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, longest);
    };
    try {
      const socket = new WebSocket(new URL("ws", document.baseURI.replace(/^http/, "ws")));
      socket.onmessage = (event) => {
        if (over) return;
        clearTimeout(late);
        wait = 500;
        live = true;
        take(JSON.parse(event.data));
        tell("live");
      };
      socket.onclose = lost;
      late = setTimeout(() => {
        lost();
        socket.close();
      }, patience);
    } catch {
      lost();
    }
  };
  connect();
}
