/* tests/model/slot.pml: one line of a command ring in Promela, under sequential consistency.
 *
 * A server (agent and library thread, one lock between them), a consumer process of two threads
 * (one fetches and completes, one is a rival completer), which at any step is killed or, alive,
 * let go of; then its sweep, a fresh part C, and a successor. Written from docs/format.md and
 * docs/recovery.md, not from the code: the same protocol in a second language.
 *
 * Checked in every interleaving: each command ends exactly once; no result and no command is a
 * mixture; what was finished counts; with HANDOVER nothing that the dead had fails; and no end
 * state in which somebody waits (a lost wake, a stall behind the dead).
 *
 * LAPS commands through the line, ENDS consumers that end, LEAVES: they may leave alive, RIVAL: the
 * second thread.
 * MUTANT: one step is wrong, and an error must be found.
 */
#ifndef LAPS
#define LAPS 2
#endif
#ifndef ENDS
#define ENDS 1
#endif
#ifndef LEAVES
#define LEAVES 0
#endif
#ifndef HANDOVER
#define HANDOVER 0
#endif
#ifndef RIVAL
#define RIVAL 1
#endif
#ifndef MUTANT
#define MUTANT 0
#endif
#define PARTS (ENDS + 1)

mtype = { IDLE, TAKEN, COMPLETING, DONE, FAILED, OFFERED };

/* S: the line. The server alone writes it. */
byte sequence, field0, field1;
bool closed;

/* A part C for each consumer in turn. State and lap are one word: read and exchanged at once. */
typedef Part {
  mtype state = IDLE;
  byte lap;
  bool evicted;
  byte ended;            /* The lap of the last command that is final. */
  byte result0, result1
};
Part c[PARTS];

/* W: two bells. The value a sleeper compares, whether somebody may sleep, and who the kernel keeps
 * asleep. */
typedef Bell {
  byte value;
  bool armed;
  bool asleep
};
Bell agent_bell, device_bell;

/* The server's private memory. */
bool locked;
byte posted, part;
bool outstanding, offered;
byte swept;              /* A lap that a sweep ended, 0 none. */
bool swept_well;
byte calls[LAPS + 1], called, well;

/* For the assertions. */
bool fetched[LAPS + 1], finished[LAPS + 1];

/* The world. */
bool dead[PARTS], left[PARTS];
byte ends;

inline wake(bell) { bell.asleep = false }
inline ring(bell) {
  if
  :: bell.armed ->
#if MUTANT != 3
     bell.value = 1;
#endif
     wake(bell)
  :: else
  fi
}
inline force(bell) {
  bell.value = 1;
  wake(bell)
}
/* Arms; the caller looks again, then sleeps unless the value has changed. A bell has one waiter:
 * its value counts from when that one armed. */
inline arm(bell) { atomic { bell.armed = true; bell.value = 0 } }
inline sleep(bell) {
  atomic {
    if
    :: bell.value == 0 -> bell.asleep = true
    :: else
    fi
  };
  if
  :: !bell.asleep
#if LEAVES
  :: timeout -> bell.asleep = false     /* Who left disarms the bell of its successor: a slice. */
#endif
  fi
}

/* ---- Clients */

#define MIX(who, g) (16 * (who) + (g))

inline complete(p, who, g) {
  atomic {                                        /* claim_cas */
    if
#if MUTANT == 1
    :: c[p].state == TAKEN && c[p].lap == g -> won = true
#else
    :: c[p].state == TAKEN && c[p].lap == g -> c[p].state = COMPLETING; won = true
#endif
    :: else -> won = false
    fi
  };
  if
  :: won ->
     c[p].result0 = MIX(who, g);
#if MUTANT != 8
     c[p].result1 = MIX(who, g);
#endif
     atomic {                                     /* complete_cas */
       if
#if MUTANT == 1
       :: c[p].state == TAKEN && c[p].lap == g -> c[p].state = DONE; finished[g] = true; won = true
#else
       :: c[p].state == COMPLETING && c[p].lap == g -> c[p].state = DONE; finished[g] = true; won = true
#endif
       :: else -> won = false
       fi
     };
     if
     :: won ->
        c[p].ended = g;                           /* complete_finished */
#if MUTANT == 8
        c[p].result1 = MIX(who, g);
#endif
        ring(agent_bell)
     :: else
     fi
  :: else
  fi
}

proctype Consumer(byte p; byte head) {
  byte seen, lap, copy0, copy1;
  mtype state;
  bool won;
  {
    do
    :: head > LAPS -> break
    :: else ->
       seen = sequence;                           /* take_sequence */
       if
#if MUTANT != 5
       :: c[p].evicted -> break
#endif
       :: seen < head ->
          if
          :: closed -> break
          :: else ->
             arm(device_bell);
#if MUTANT == 9
             sleep(device_bell)
#else
             if
             :: sequence < head && !closed && !c[p].evicted -> sleep(device_bell)
             :: else
             fi
#endif
          fi
       :: else ->
          atomic { state = c[p].state; lap = c[p].lap };        /* take_word */
          if
          :: seen != head || (lap >= head && !(lap == head && state == OFFERED)) -> head++
          :: else ->
             atomic {                             /* take_cas */
               if
               :: c[p].state == state && c[p].lap == lap ->
                  assert(!fetched[head] || state == OFFERED);
                  fetched[head] = true;
                  c[p].state = TAKEN; c[p].lap = head; won = true
               :: else -> won = false
               fi;
               state = IDLE; lap = 0; seen = 0
             };
             if
             :: won ->
                copy0 = field0;
                copy1 = field1;
#if MUTANT == 2
                atomic { won = true };
#else
                atomic { won = c[p].state == TAKEN && c[p].lap == head };   /* take_recheck */
#endif
                if
                :: won ->
                   atomic {
                     assert(copy0 == head && copy1 == head && (finished[head] == false || RIVAL));
                     copy0 = 0; copy1 = 0 };
                   complete(p, 1, head)
                :: else
                fi;
                head++
             :: else
             fi
          fi
       fi
    od
  } unless { dead[p] }
}

/* Another thread of the process, which learned of the command from its word. */
proctype Rival(byte p) {
  byte lap, tries;
  bool won;
  {
end_rival:
    do
    :: tries < LAPS && c[p].state == TAKEN ->
       lap = c[p].lap;
       complete(p, 2, lap);
       tries++
    :: closed || c[p].evicted -> break
    od
  } unless { dead[p] }
}

/* The kernel, or the process itself. */
proctype Fate() {
  do
  :: ends < ENDS && part == ends && !closed ->
     atomic {
       if
       :: dead[ends] = true
#if LEAVES
       :: left[ends] = true
#endif
       fi;
       ends++
     }
  :: true -> break
  od
}

/* ---- The server */

inline call_back(g, good) {
  calls[g]++;
  assert(calls[g] == 1);
  called++;
  if
  :: good -> well++
  :: else -> assert(!HANDOVER || LEAVES)
  fi
}

/* Under the lock, and in one step: what it reads of a DONE nobody writes. */
inline reap() {
  won = outstanding && c[part].ended == posted;
  take_results()
}
inline take_results() {
  if
  :: won ->
     assert(c[part].result0 == c[part].result1 && c[part].result0 % 16 == posted);
     outstanding = false
  :: else
  fi
}

proctype Agent() {
  bool won, any;
  do
  :: called == LAPS -> break
  :: else ->
     atomic {
       !locked -> locked = true;
       any = false;
       if
       :: swept != 0 -> call_back(swept, swept_well); swept = 0; any = true
       :: else
       fi;
       reap();
       if
       :: won -> call_back(posted, true); any = true
       :: else
       fi
     };
     if
     :: !outstanding && swept == 0 && posted < LAPS ->
        field0 = posted + 1;
#if MUTANT != 7
        field1 = posted + 1;
#endif
        atomic {
          posted++;
          outstanding = true;
          offered = false;
          sequence = posted;
          any = true;
#if MUTANT != 7
          locked = false
        }
#else
        };
        field1 = posted;
        locked = false
#endif
     :: else -> locked = false
     fi;
     if
     :: any -> ring(device_bell)
     :: else ->
        arm(agent_bell);
        if
        :: swept != 0 || (c[part].ended == posted && outstanding)
        :: else -> sleep(agent_bell)
        fi;
        agent_bell.armed = false
     fi
  od;
  assert(called == LAPS && (!HANDOVER || LEAVES || well == LAPS));
  closed = true;
  force(device_bell)
}

/* The look at what is finished, the exchange, and the fresh part, which nobody has yet. */
inline sweep() {
  reap();
  if
  :: won -> swept = posted; swept_well = true
#if MUTANT != 13
  :: !won && outstanding && c[part].state == DONE && c[part].lap == posted ->
     won = true;                                  /* Decided, and not said: it died between. */
     take_results();
     swept = posted; swept_well = true
#endif
  :: outstanding && c[part].lap == posted &&
#if MUTANT == 12
     false && (c[part].state == TAKEN || c[part].state == COMPLETING) ->
#else
     (c[part].state == TAKEN || c[part].state == COMPLETING) ->
#endif
     c[part].state = FAILED;
     if
     :: HANDOVER -> offered = true
     :: else -> outstanding = false; swept = posted; swept_well = false
     fi
  :: else -> c[part].state = FAILED; c[part].lap = posted
  fi;
  if
#if MUTANT != 10
  :: outstanding && offered ->
     c[part + 1].state = OFFERED; c[part + 1].lap = posted; c[part + 1].ended = posted - 1
#else
  :: outstanding && offered -> c[part + 1].lap = posted - 1; c[part + 1].ended = posted - 1
#endif
  :: outstanding && !offered -> c[part + 1].lap = posted - 1; c[part + 1].ended = posted - 1
  :: else -> c[part + 1].lap = posted; c[part + 1].ended = posted
  fi;
#if MUTANT == 11
  first = posted + 1;
#else
  first = (outstanding -> posted : posted + 1);
#endif
  part++
}

proctype Library() {
  byte first;
  bool won;
end_library:
  do
  :: part < ENDS && (dead[part] || left[part]) && swept == 0 ->
     c[part].evicted = true;
     atomic {
       !locked && swept == 0 ->
#if MUTANT == 4
       outstanding = outstanding && c[part].state != DONE;      /* What it finished is lost. */
#endif
       sweep()
     };
#if MUTANT != 6
     force(agent_bell);
#endif
     force(device_bell);
     run Consumer(part, first)
#if RIVAL
     ; run Rival(part)
#endif
  :: closed -> break
  od
}

init {
  atomic {
    run Agent();
    run Library();
    run Consumer(0, 1);
#if RIVAL
    run Rival(0);
#endif
    run Fate()
  }
}
