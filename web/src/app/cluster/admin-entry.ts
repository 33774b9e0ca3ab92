import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';

import { Admin } from './admin';

/** Where the admin token is given, and given up. */
@Component({
  selector: 'app-admin-entry',
  template: `
    @if (admin.authorized()) {
      <button type="button" class="quiet" (click)="admin.leave()">Leave admin</button>
    } @else {
      <button type="button" class="quiet" (click)="dialog.showModal()">Admin</button>
    }
    <dialog #dialog aria-labelledby="admin-title" (close)="problem.set('')">
      <form (submit)="enter($event, token, dialog)">
        <h2 id="admin-title">Restart and kill processes</h2>
        <p>The admin token is printed where the cluster was started.</p>
        <label>
          Admin token
          <input #token type="password" autocomplete="off" spellcheck="false" required />
        </label>
        <p class="problem" role="alert">{{ problem() }}</p>
        <div class="actions">
          <button type="button" class="quiet" (click)="dialog.close()">Cancel</button>
          <button type="submit" class="primary">Continue</button>
        </div>
      </form>
    </dialog>
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class AdminEntry {
  protected readonly admin = inject(Admin);
  protected readonly problem = signal('');

  protected async enter(
    event: Event,
    token: HTMLInputElement,
    dialog: HTMLDialogElement,
  ): Promise<void> {
    event.preventDefault();
    const problem = await this.admin.enter(token.value.trim());
    this.problem.set(problem ?? '');
    if (problem === null) {
      token.value = '';
      dialog.close();
    }
  }
}
