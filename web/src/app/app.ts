import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { RouterLink, RouterLinkActive, RouterOutlet } from '@angular/router';

import { AdminEntry } from './cluster/admin-entry';
import { Cluster } from './cluster/cluster';
import { amount } from './shared/format';
import { Theme } from './shared/theme';

/** The frame around the views: where one is, how the cluster is. */
@Component({
  selector: 'app-root',
  imports: [AdminEntry, RouterLink, RouterLinkActive, RouterOutlet],
  template: `
    <a class="skip" href="#main" (click)="skip($event, main)">Skip to the content</a>
    <header class="top">
      <a class="brand" routerLink="/">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <circle cx="16" cy="25" r="4" />
          <circle cx="5" cy="8" r="4" />
          <circle cx="16" cy="6" r="4" />
          <circle cx="27" cy="8" r="4" />
          <path d="M16 25 5 8M16 25V6M16 25 27 8" />
        </svg>
        <span>FastAPI WebSocket Sync</span>
      </a>
      <nav aria-label="Views">
        @for (view of views; track view.path) {
          <a
            [routerLink]="view.path"
            routerLinkActive="active"
            ariaCurrentWhenActive="page"
            [routerLinkActiveOptions]="{ exact: true }"
            >{{ view.label }}</a
          >
        }
      </nav>
      <p
        class="pulse"
        [class.bad]="!cluster.reachable()"
        [attr.role]="cluster.reachable() ? null : 'alert'"
      >
        {{ health() }}
      </p>
      <app-admin-entry />
      <button
        type="button"
        class="quiet icon"
        [title]="'Colours: ' + theme.choice()"
        (click)="theme.turn()"
      >
        <svg viewBox="0 0 16 16" aria-hidden="true">
          @switch (theme.choice()) {
            @case ('light') {
              <circle cx="8" cy="8" r="3" />
              <path
                d="M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1"
              />
            }
            @case ('dark') {
              <path d="M13.5 9.5A6 6 0 0 1 6.5 2.5 6 6 0 1 0 13.5 9.5Z" />
            }
            @default {
              <circle cx="8" cy="8" r="6" />
              <path class="filled" d="M8 2a6 6 0 0 1 0 12Z" />
            }
          }
        </svg>
        <span class="visually-hidden">Colours: {{ theme.choice() }}</span>
      </button>
    </header>
    <main #main id="main" tabindex="-1"><router-outlet /></main>
    <footer>
      <a href="/docs">HTTP API</a>
      <a href="/asyncapi.json">AsyncAPI</a>
      <a href="/api/cluster">Cluster as JSON</a>
    </footer>
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class App {
  protected readonly cluster = inject(Cluster);
  protected readonly theme = inject(Theme);

  protected readonly views = [
    { path: '/', label: 'Clients' },
    { path: '/cluster', label: 'Cluster' },
    { path: '/load', label: 'Load' },
  ];

  protected readonly health = computed(() => {
    if (!this.cluster.reachable()) return 'the cluster does not answer';
    const ready = this.cluster.workers().filter((worker) => worker.ready).length;
    const workers = ready === 1 ? '1 worker' : `${ready} workers`;
    return `${workers} · ${amount(this.cluster.delivered())} deliveries/s`;
  });

  protected skip(event: Event, main: HTMLElement): void {
    event.preventDefault();
    main.focus();
  }
}
