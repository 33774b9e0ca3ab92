import type { NotifiedBy } from '../types';
import { openPlain } from './plain-transport';
import type { Transport, TransportListener } from './transport';

class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readyState = FakeSocket.OPEN;
  onmessage: (event: { data: string }) => void = () => undefined;
  onclose: (event: { code: number; reason: string }) => void = () => undefined;
  send = vi.fn();
  close = vi.fn();

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  receive(message: object): void {
    this.onmessage({ data: JSON.stringify(message) });
  }
}

const greeting = { push_type: 'connected_to', host: 'h', pid: 1, report_time: 0 };
const push: Partial<NotifiedBy> = { push_type: 'notified_by', pid: 2 };
const place = { channel: 'chat:x', epoch: 'e', offset: 7 };

describe('the plain transport', () => {
  let listener: { [event in keyof TransportListener]: ReturnType<typeof vi.fn> };
  let transport: Transport;
  const socket = () => FakeSocket.all.at(-1)!;

  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal('WebSocket', FakeSocket);
    FakeSocket.all = [];
    listener = {
      connecting: vi.fn(),
      connected: vi.fn(),
      subscribed: vi.fn(),
      published: vi.fn(),
      closed: vi.fn(),
    };
    transport = openPlain('chat:x', null, listener as unknown as TransportListener);
  });

  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it('tells the worker, where the subscription begins, and each push with its place', () => {
    socket().receive(greeting);
    socket().receive(place);
    socket().receive({ ...place, offset: 8, data: push });
    expect(listener.connected).toHaveBeenCalledWith(greeting);
    expect(listener.subscribed).toHaveBeenCalledWith({ epoch: 'e', offset: 7 }, null);
    expect(listener.published).toHaveBeenCalledWith(push, { epoch: 'e', offset: 8 });
  });

  it('comes back with the place of the last push', () => {
    socket().receive({ ...place, data: push });
    socket().onclose({ code: 1006, reason: '' });
    vi.runOnlyPendingTimers();
    expect(FakeSocket.all).toHaveLength(2);
    expect(new URL(socket().url).search).toBe('?channel=chat%3Ax&epoch=e&offset=7');
  });

  it('goes on from a place it is told of', () => {
    openPlain('chat:x', { epoch: 'z', offset: 3 }, listener as unknown as TransportListener);
    expect(new URL(socket().url).searchParams.get('offset')).toBe('3');
    expect(new URL(socket().url).searchParams.get('epoch')).toBe('z');
  });

  it('says why it comes back', () => {
    socket().onclose({ code: 3001, reason: 'the worker is stopping' });
    expect(listener.connecting).toHaveBeenLastCalledWith('the worker is stopping (3001)');
  });

  it('does not come back when it was closed', () => {
    transport.close();
    socket().onclose({ code: 1000, reason: '' });
    vi.runAllTimers();
    expect(FakeSocket.all).toHaveLength(1);
  });

  it('asks for a push', () => {
    transport.push();
    expect(socket().send).toHaveBeenCalledWith('{"sent_message_type":"user-initiated"}');
  });
});
