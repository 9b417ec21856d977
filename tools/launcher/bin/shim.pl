#!/usr/bin/perl -w
# shim.pl SOCKET PROGRAM [ARGUMENT...]: runs a program of the lab for its caller. It does what src/shim.ts does, where the
# host has a perl, which starts in a twentieth of the time: without Socket, Cwd and Errno, which take longer than all the rest.
# src/protocol.ts has the messages.
use strict;

sub AF_UNIX() { 1 }
sub SOCK_STREAM() { 1 }
sub EINTR() { 4 }
sub EAGAIN() { 11 }

my ($path, @argv) = @ARGV;
my $name = @argv ? $argv[0] : 'lab';
$0 = $name; # what ps and /proc/PID/comm tell

sub fail {
  my ($text, $status) = @_;
  print STDERR "$name: $text\n";
  exit $status;
}
@argv or fail('usage: lab PROGRAM [ARGUMENT...]', 2);
my $lab;
socket($lab, AF_UNIX, SOCK_STREAM, 0) && connect($lab, pack('Sa*', AF_UNIX, "$path\0")) or fail("no lab listens at $path", 1);

# JSON of a text, which is UTF-8 and stays so; of bytes, which become code points 0 to 255.
sub text { my ($s) = @_; $s =~ s/(["\\\x00-\x1f])/sprintf '\\u%04x', ord $1/ge; return "\"$s\"" }
sub bytes { my ($s) = @_; $s =~ s/(["\\\x00-\x1f\x7f-\xff])/sprintf '\\u%04x', ord $1/ge; return "\"$s\"" }

sub say_all {
  my ($to, $s) = @_;
  for (my $at = 0; $at < length $s;) {
    my $n = syswrite $to, $s, length($s) - $at, $at;
    if (defined $n) { $at += $n }
    elsif ($! == EAGAIN) { my $w = ''; vec($w, fileno $to, 1) = 1; select undef, $w, undef, undef }
    elsif ($! != EINTR) { exit 141 }
  }
}
sub tell_lab { say_all($lab, "$_[0]\n") }

my %number = (HUP => 1, INT => 2, QUIT => 3, USR1 => 10, USR2 => 12, TERM => 15);
for my $signal (keys %number) { $SIG{$signal} = sub { tell_lab("{\"signal\":$number{$signal}}") } }

delete $ENV{PERL_BADLANG}; # keeps perl from complaining of the caller's locale
my $env = join ',', map { text($_) . ':' . text($ENV{$_}) } grep { !/^BASH_FUNC_/ } keys %ENV;
tell_lab('{"op":"run","argv":[' . join(',', map { text($_) } @argv) . '],"cwd":' . text(readlink('/proc/self/cwd') // '/') . ",\"env\":{$env}}");

# The text of a JSON string, as bytes.
my %escape = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t");
sub string {
  my ($s) = @_;
  utf8::decode($s);
  $s =~ s/\\(?:u([0-9a-fA-F]{4})|(.))/defined $1 ? chr hex $1 : $escape{$2} \/\/ $2/ge;
  utf8::downgrade($s, 1) or utf8::encode($s);
  return $s;
}

sub lend {
  my ($file) = @_;
  my $size = -f $file ? -s _ : -1;
  my $in;
  return tell_lab('{"none":true}') if $size < 0 || $size > 64 << 20 || !open($in, '<:raw', $file);
  while (sysread($in, my $part, 65536)) { tell_lab('{"in":' . bytes($part) . '}') }
  tell_lab('{"in":""}');
}

my ($rest, $want) = ('', 0);
while (1) {
  my $r = '';
  vec($r, fileno $lab, 1) = 1;
  vec($r, 0, 1) = 1 if $want;
  next if select($r, undef, undef, undef) < 0; # a signal
  if ($want && vec $r, 0, 1) {
    my $n = sysread(STDIN, my $part, $want);
    if (defined $n || ($! != EAGAIN && $! != EINTR)) {
      $want = 0;
      tell_lab('{"in":' . bytes($n ? $part : '') . '}');
    }
  }
  next unless vec $r, fileno $lab, 1;
  my $n = sysread $lab, $rest, 1 << 18, length $rest;
  next if !defined $n && $! == EINTR;
  $n or fail('the lab went away', 1);
  while ($rest =~ s/^([^\n]*)\n//) {
    my $line = $1;
    if ($line =~ /^\{"exit":(\d+)(?:,"signal":(\d+))?\}$/) {
      my ($status, $signal) = ($1, $2);
      if (defined $signal) { # whoever waits is to know
        $SIG{$_} = 'DEFAULT' for grep { $number{$_} == $signal } keys %number;
        kill $signal, $$;
        sleep 1; # it comes
      }
      exit $status;
    }
    my ($key, $value) = $line =~ /^\{"(\w+)":(.*)\}$/ or next;
    $value = string(substr $value, 1, -1) if $value =~ /^"/;
    if ($key eq 'out') { say_all(\*STDOUT, $value) }
    elsif ($key eq 'err') { say_all(\*STDERR, $value) }
    elsif ($key eq 'want') { $want = $value }
    elsif ($key eq 'fetch') { lend($value) }
    elsif ($key eq 'error') { fail($value, 1) }
  }
}
