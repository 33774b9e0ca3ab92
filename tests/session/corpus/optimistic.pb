"
t"js*
c02abcdefgh*
c12abcdefgh8*
c22abcdefgh8*
c32abcdefgh8*
c42abcdefgh8