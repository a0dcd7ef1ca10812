#!lua
-- Gives short ids back that are still the session's.
--
-- KEYS  1: `ns:short`, see claim.lua.
-- ARGV  session id, short id, and so on.

for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i + 1]) == ARGV[i] then
    redis.call('HDEL', KEYS[1], ARGV[i + 1], '=' .. ARGV[i])
  end
end
