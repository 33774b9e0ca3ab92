import { Injectable, signal } from '@angular/core';

import { isSame } from '../cluster/worker-id';
import { type ConnectedTo, type LoadSample, subscription } from '../types';
import { ServerClock } from '../wire/clock';
import { sdkClient } from '../wire/sdk-transport';
import { Latencies } from './latencies';

export const FASTEST = 5000;
const CHANNEL = 'load';
/** Seconds of latencies that are shown. */
const WINDOW = 10;
/** Milliseconds between two askings for the load: without, the cluster stops it after 10 s. */
const RENEWAL = 4000;
const SETTLE = 250;

/** What arrived in the last second, and the latencies of the last ten. */
export interface Reading {
  readonly perSecond: number;
  readonly lost: number;
  readonly latencies: Latencies;
}

const NOTHING: Reading = { perSecond: 0, lost: 0, latencies: new Latencies() };

/** Has the cluster publish at a rate, and measures what arrives here. */
@Injectable()
export class Load {
  private readonly client = sdkClient('websocket');
  private timers: ReturnType<typeof setInterval>[] = [];
  private settling: ReturnType<typeof setTimeout> | undefined;
  private asked = 0;
  private readonly clock = new ServerClock();
  private seconds: Latencies[] = [new Latencies()];
  private last: LoadSample | undefined;
  private lost = 0;

  readonly rate = signal(0);
  readonly problem = signal('');
  readonly reading = signal<Reading>(NOTHING);

  start(): void {
    this.client
      .on('connecting', () => (this.asked = Date.now()))
      .on('connected', ({ data }) => {
        this.clock.observe(this.asked, (data as ConnectedTo).report_time, Date.now());
      });
    subscription(this.client, CHANNEL, ({ data }) => this.take(data)).subscribe();
    this.client.connect();
    this.timers = [
      setInterval(() => this.turn(), 1000),
      setInterval(() => this.rate() > 0 && void this.ask(), RENEWAL),
    ];
  }

  stop(): void {
    this.timers.forEach(clearInterval);
    clearTimeout(this.settling);
    this.client.disconnect();
    if (this.rate() > 0) {
      this.rate.set(0);
      void this.ask();
    }
  }

  /** Publish `rate` messages a second from now on. */
  set(rate: number): void {
    this.rate.set(rate);
    clearTimeout(this.settling);
    this.settling = setTimeout(() => void this.ask(), SETTLE);
  }

  private async ask(): Promise<void> {
    try {
      const answer = await fetch('/api/demo/load', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ rate: this.rate() }),
        keepalive: true,
      });
      this.problem.set(answer.ok ? '' : `The cluster answers ${answer.status}.`);
    } catch {
      this.problem.set('The cluster does not answer.');
    }
  }

  private take(sample: LoadSample): void {
    this.seconds[0].record(this.clock.since(sample.sent_at));
    this.lost += lostBetween(this.last, sample);
    this.last = sample;
  }

  private turn(): void {
    const latencies = new Latencies();
    this.seconds.forEach((second) => latencies.add(second));
    this.reading.set({ perSecond: this.seconds[0].count, lost: this.lost, latencies });
    this.seconds = [new Latencies(), ...this.seconds.slice(0, WINDOW - 1)];
  }
}

/** How many of a worker's samples never came between the last one and this one. */
export function lostBetween(last: LoadSample | undefined, sample: LoadSample): number {
  if (!last || !isSame(last, sample) || sample.number <= last.number) return 0;
  return sample.number - last.number - 1;
}
