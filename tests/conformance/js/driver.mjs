// Clients of npm `centrifuge`, in one process: they do what lines of JSON on stdin say and print what happens to them.
//
//   {"number": 1, "id": 7, "do": "history", "channel": "room", "limit": 2}   a command to the client of this number
//   {"number": 1, "id": 7, "result": {…}}   or   "error": {"code": 108, …}   its answer
//   {"number": 1, "event": "publication", "channel": "room", …}              what the SDK tells
//   {"number": 1, "id": 3, "wanted": "room"}                                 getToken: of a channel, or of none
//   {"number": 1, "id": 3, "do": "token", "token": "…"}                      its answer
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(new URL('../../../web/package.json', import.meta.url));
const packages = { json: 'centrifuge', protobuf: 'centrifuge/build/protobuf' };

const OF_A_CLIENT = ['connecting', 'connected', 'disconnected', 'error'];
const OF_A_SUBSCRIPTION = ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave'];

// Payloads are bytes in Protobuf, none at all where there is no payload; they are printed as the JSON they are.
function payload(bytes) {
  return bytes.length ? JSON.parse(new TextDecoder().decode(bytes)) : undefined;
}

function print(line) {
  console.log(
    JSON.stringify(line, function (key, value) {
      return this[key] instanceof Uint8Array ? payload(this[key]) : value;
    }),
  );
}

class Client {
  wanted = new Map();

  constructor(number, { transport, codec, address, options }) {
    const { Centrifuge } = require(packages[codec]);
    const scheme = transport === 'websocket' ? 'ws' : 'http';
    this.tell = (event) => (context) => print({ number, event, ...context });
    this.packed = (data) => (codec === 'protobuf' ? new TextEncoder().encode(JSON.stringify(data)) : data);
    this.getToken = ({ channel = '' }) =>
      new Promise((resolve) => {
        const id = this.wanted.size + 1;
        this.wanted.set(id, resolve);
        print({ number, id, wanted: channel });
      });
    this.sdk = new Centrifuge([{ transport, endpoint: `${scheme}://${address}/connection/${transport}` }], {
      emulationEndpoint: `http://${address}/emulation`,
      getToken: this.getToken,
      ...options,
    });
    for (const event of [...OF_A_CLIENT, ...OF_A_SUBSCRIPTION]) this.sdk.on(event, this.tell(event));
  }

  connect = () => this.sdk.connect();
  disconnect = () => this.sdk.disconnect();
  token = ({ id, token }) => this.wanted.get(id)(token);

  // `states` are what its getState finds, one after another.
  subscribe = ({ channel, withToken, states, ...options }) => {
    const getToken = withToken && this.getToken;
    const getState = states && (async () => (this.tell('state')({ channel }), states.shift()));
    const known = this.sdk.getSubscription(channel);
    const subscription = known ?? this.sdk.newSubscription(channel, { getToken, getState, ...options });
    if (!known) for (const event of [...OF_A_SUBSCRIPTION, 'error']) subscription.on(event, this.tell(event));
    subscription.subscribe();
  };
  unsubscribe = ({ channel }) => this.sdk.getSubscription(channel).unsubscribe();

  publish = ({ channel, data }) => this.sdk.publish(channel, this.packed(data));
  presence = ({ channel }) => this.sdk.presence(channel);
  presenceStats = ({ channel }) => this.sdk.presenceStats(channel);
  history = ({ channel, ...options }) => this.sdk.history(channel, options);
  rpc = ({ method, data }) => this.sdk.rpc(method, this.packed(data));
  send = ({ data }) => this.sdk.send(this.packed(data));
}

const clients = new Map();
for await (const line of createInterface(process.stdin)) {
  const { number, do: action, ...given } = JSON.parse(line);
  if (action === 'create') clients.set(number, new Client(number, given));
  else if (action === 'token') clients.get(number).token(given);
  else perform(number, action, given);
}
process.exit();

async function perform(number, action, { id, ...given }) {
  try {
    const result = await clients.get(number)[action](given);
    print({ number, id, result: result ?? {} });
  } catch ({ code, message }) {
    print({ number, id, error: { code, message } });
  }
}
