import { ChangeDetectionStrategy, Component, inject, input, signal } from '@angular/core';

import { type Action, Admin } from './admin';

const SHOWN = 6000;

/** Buttons to restart and kill a process; none without the admin token. */
@Component({
  selector: 'app-process-actions',
  template: `
    @if (admin.authorized()) {
      @for (action of actions(); track action) {
        <button
          type="button"
          [class.small]="!named()"
          [class.danger]="action === 'kill'"
          (click)="act(action)"
        >
          {{ action === 'kill' ? 'Kill' : 'Restart' }}
          <span [class.visually-hidden]="!named()">{{ process() }}</span>
        </button>
      }
      @if (problem()) {
        <span class="problem" role="alert">{{ problem() }}</span>
      }
    }
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class ProcessActions {
  readonly host = input.required<string>();
  readonly process = input.required<string>();
  readonly actions = input<readonly Action[]>(['restart', 'kill']);

  /** Whether the buttons show the name of the process; it is read out in any case. */
  readonly named = input(false);

  protected readonly admin = inject(Admin);
  protected readonly problem = signal('');

  protected async act(action: Action): Promise<void> {
    this.problem.set((await this.admin.act(this.host(), this.process(), action)) ?? '');
    if (this.problem()) setTimeout(() => this.problem.set(''), SHOWN);
  }
}
