import { TestBed } from '@angular/core/testing';

import { Theme } from './theme';

describe('the theme', () => {
  beforeEach(() => {
    localStorage.clear();
    vi.stubGlobal('matchMedia', () => ({ matches: true, addEventListener: vi.fn() }));
  });

  afterEach(() => vi.unstubAllGlobals());

  it('is as the system has it until the visitor decides, and then stays so', () => {
    const theme = TestBed.inject(Theme);
    expect([theme.choice(), theme.dark()]).toEqual(['system', true]);
    theme.turn();
    TestBed.tick();
    expect([theme.choice(), theme.dark()]).toEqual(['light', false]);
    expect(document.documentElement.dataset['theme']).toBe('light');
    expect(localStorage.getItem('theme')).toBe('light');
  });

  it('does not care for what it does not know', () => {
    localStorage.setItem('theme', 'sepia');
    expect(TestBed.inject(Theme).choice()).toBe('system');
  });
});
