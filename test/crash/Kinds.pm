# Kinds: the ways in which a round of the crash test is interrupted.
package Kinds;

use strict;
use warnings;

use FlexApi;

# name, node, drainers beside the worker or in its place, whether the server crashes, and what is done.
our @ALL = (
	[ 'worker: kill -9', 'preloaded', 0, 1, sub { $_[0]->signal('KILL', $_[0]->worker) } ],
	[ 'worker: terminate', 'preloaded', 0, 0, sub { $_[0]->signal('TERM', $_[0]->worker) } ],
	[ 'worker: cancel', 'preloaded', 0, 0, sub { $_[0]->signal('INT', $_[0]->worker) } ],
	[ 'callbacks: kill -9', 'preloaded', 0, 1, sub { $_[0]->signal('KILL', $_[0]->callbacks) } ],
	[ 'callbacks: terminate', 'preloaded', 0, 0, sub { $_[0]->signal('TERM', $_[0]->callbacks) } ],
	[ 'drain: kill -9', 'plain', 2, 1, sub { $_[0]->signal('KILL', $_[0]->drainer) } ],
	[ 'drain: terminate', 'plain', 2, 0, sub { $_[0]->signal('TERM', $_[0]->drainer) } ],
	[ 'drain: cancel', 'plain', 2, 0, sub { $_[0]->signal('INT', $_[0]->drainer) } ],
	[ 'drain + worker: kill -9', 'preloaded', 1, 1, sub { $_[0]->signal('KILL', $_[0]->drainer) } ],
	[ 'drain + worker: terminate', 'preloaded', 1, 0, sub { $_[0]->signal('TERM', $_[0]->drainer) } ],
	[ 'postmaster: kill -9, worker', 'preloaded', 0, 1, sub { $_[0]->kill_postmaster } ],
	[ 'postmaster: kill -9, drain', 'plain', 2, 1, sub { $_[0]->kill_postmaster } ],
	[ 'stop -m fast, worker', 'preloaded', 1, 0, sub { $_[0]->stop('fast') } ],
	[ 'stop -m fast, drain', 'plain', 2, 0, sub { $_[0]->stop('fast') } ],
	[ 'stop -m immediate', 'preloaded', 1, 1, sub { $_[0]->stop('immediate') } ],
);

1;
