import { signal } from '@angular/core';
import { type ComponentFixture, TestBed } from '@angular/core/testing';

import { Admin } from './admin';
import { ProcessActions } from './process-actions';

describe('the actions on a process', () => {
  const authorized = signal(false);
  const act = vi.fn();
  let fixture: ComponentFixture<ProcessActions>;
  const buttons = () =>
    [...(fixture.nativeElement as HTMLElement).querySelectorAll('button')].map((button) =>
      button.textContent.replace(/\s+/g, ' ').trim(),
    );

  beforeEach(async () => {
    authorized.set(false);
    act.mockReset().mockResolvedValue(null);
    TestBed.configureTestingModule({
      providers: [{ provide: Admin, useValue: { authorized, act } }],
    });
    fixture = TestBed.createComponent(ProcessActions);
    fixture.componentRef.setInput('host', 'here');
    fixture.componentRef.setInput('process', 'api-1');
    await fixture.whenStable();
  });

  it('are absent without the admin token', () => {
    expect(buttons()).toEqual([]);
  });

  it('name the process they are about', async () => {
    authorized.set(true);
    await fixture.whenStable();
    expect(buttons()).toEqual(['Restart api-1', 'Kill api-1']);
  });

  it('say what went wrong', async () => {
    authorized.set(true);
    act.mockResolvedValue('There is no such process.');
    await fixture.whenStable();
    (fixture.nativeElement as HTMLElement).querySelector('button')!.click();
    await vi.waitFor(() =>
      expect((fixture.nativeElement as HTMLElement).textContent).toContain(
        'There is no such process.',
      ),
    );
    expect(act).toHaveBeenCalledWith('here', 'api-1', 'restart');
  });
});
