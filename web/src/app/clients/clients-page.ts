import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { ClientPanel } from './client-panel';
import { Clients, MOST } from './clients';
import { Topology } from './topology';

/** Clients side by side, and how what one pushes gets to the others. */
@Component({
  selector: 'app-clients-page',
  imports: [ClientPanel, Topology],
  template: `
    <div class="intro">
      <h1>One push reaches every client of every worker</h1>
      <p>
        Each panel is a WebSocket client. nginx sent them to different uvicorn processes, which
        share nothing but a message bus. Initiate a push in one panel and see it arrive in all. Kill
        a worker: its clients are back on another one, and nothing is missed.
      </p>
    </div>
    <app-topology />
    <div class="panels">
      @for (client of clients.list(); track client) {
        <app-client-panel
          [client]="client"
          [removable]="clients.list().length > 1"
          (removed)="clients.remove(client)"
        />
      }
    </div>
    <button
      type="button"
      class="add"
      [disabled]="clients.full()"
      (click)="clients.add('websocket')"
    >
      {{ clients.full() ? 'No more than ' + most + ' clients' : 'Add a client' }}
    </button>
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class ClientsPage {
  protected readonly clients = inject(Clients);
  protected readonly most = MOST;
}
