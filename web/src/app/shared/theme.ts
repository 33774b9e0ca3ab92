import { computed, effect, Injectable, signal } from '@angular/core';

export type ThemeChoice = 'system' | 'light' | 'dark';

const KEY = 'theme';
const ORDER: readonly ThemeChoice[] = ['system', 'light', 'dark'];

/** Light or dark: as the system has it, until the visitor decides. */
@Injectable({ providedIn: 'root' })
export class Theme {
  private readonly system = matchMedia('(prefers-color-scheme: dark)');
  private readonly systemDark = signal(this.system.matches);

  readonly choice = signal<ThemeChoice>(stored());
  readonly dark = computed(() =>
    this.choice() === 'system' ? this.systemDark() : this.choice() === 'dark',
  );

  constructor() {
    this.system.addEventListener('change', ({ matches }) => this.systemDark.set(matches));
    effect(() => {
      const choice = this.choice();
      if (choice === 'system') delete document.documentElement.dataset['theme'];
      else document.documentElement.dataset['theme'] = choice;
      localStorage.setItem(KEY, choice);
    });
  }

  /** The next choice in turn. */
  turn(): void {
    this.choice.update((choice) => ORDER[(ORDER.indexOf(choice) + 1) % ORDER.length]);
  }
}

function stored(): ThemeChoice {
  const found = localStorage.getItem(KEY);
  return ORDER.find((choice) => choice === found) ?? 'system';
}
