# The same ends of requests as in every_end_of_a_request.pl, and the same writes by others, if somebody has altered the
# table of requests: then requests are claimed and settled by SQL statements.
use strict;
use warnings;

use FindBin;
use lib 'test/perl';
use FlexApi;
use Test::More;

$FlexApi::ALTERATION = 'ALTER TABLE flex_outbox_requests ADD CONSTRAINT nothing CHECK (true)';
do "$FindBin::RealBin/every_end_of_a_request.pl" or die $@ || $!;
